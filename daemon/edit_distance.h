/* SPDX-License-Identifier: BSD-2-Clause */
/* How far a word is from another that may have been meant. */
#ifndef DAEMON_EDIT_DISTANCE_H
#define DAEMON_EDIT_DISTANCE_H

/*
 * The least number of letters to insert, delete, replace, or swap with the next, whatever their
 * case; UINT_MAX where a word is too long to be one of ours.
 */
unsigned edit_distance(const char *a, const char *b);

#endif
