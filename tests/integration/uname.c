/* SPDX-License-Identifier: BSD-2-Clause */
/* Preloaded into a program: the kernel's release is what $UNAME_RELEASE says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

int uname(struct utsname *name)
{
    memset(name, 0, sizeof(*name));
    snprintf(name->release, sizeof(name->release), "%s", getenv("UNAME_RELEASE"));
    return 0;
}
