/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/device_node.h"

#include "tests/suite.h"

START_TEST(the_kernels_under_which_a_reader_can_forge_are_known)
{
    static const char *const bad[] = {"6.13", "6.13.0-rc1", "6.13.1", "6.18.46", "6.18.46-arch1",
        "6.19.0", "6.19", "7.0.3-generic", "7.1.10", "7.2.0", "7.2", "7.2.0-1-amd64"};
    static const char *const good[] = {"6.12.99", "6.1.0-43-amd64", "5.15", "6.18.47",
        "6.18.47-rc1", "7.1.11", "7.2.1", "7.3.0", "10.0", "", "6", "linux", "6.x", "-6.13.1"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(node_release_is_forgeable(bad[i]), "%s", bad[i]);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ck_assert_msg(!node_release_is_forgeable(good[i]), "%s", good[i]);
}
END_TEST

RUN_SUITE("device node", the_kernels_under_which_a_reader_can_forge_are_known)
