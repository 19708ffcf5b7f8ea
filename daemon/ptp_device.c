/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/ptp_device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "daemon/message.h"

#define CLASS         "/sys/class/ptp"
#define AHEAD_OFF_SEC 0.1
#define FD_TO_CLOCKID(fd)                                                                          \
    ((clockid_t)((((unsigned)~(fd)) << 3) | 3)) /* as in the kernel's testptp */

void ptp_device_init(struct ptp_device *device)
{
    *device = (struct ptp_device){.fd = -1};
}

void ptp_device_close(struct ptp_device *device)
{
    if (device->fd >= 0)
        close(device->fd);
    device->fd = -1;
    device->id = 0;
}

static int read_name(const char *file, char ret_name[PTP_NAME_MAX])
{
    const int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n;
    int error;

    if (fd < 0)
        return -errno;
    n = read(fd, ret_name, PTP_NAME_MAX - 1);
    error = errno;
    close(fd);
    if (n < 0)
        return -error;
    ret_name[n] = '\0';
    ret_name[strcspn(ret_name, "\n")] = '\0';
    return ret_name[0] ? 0 : -ENOTTY;
}

static int name_of(const struct stat *status, char ret_name[PTP_NAME_MAX])
{
    char file[64];
    int r;

    if (!S_ISCHR(status->st_mode))
        return -ENOTTY;
    snprintf(file, sizeof(file), "/sys/dev/char/%u:%u/clock_name", major(status->st_rdev),
        minor(status->st_rdev));
    r = read_name(file, ret_name);
    return r == -ENOENT ? -ENOTTY : r;
}

int ptp_device_name(const char *path, char ret_name[PTP_NAME_MAX])
{
    struct stat status;

    return stat(path, &status) < 0 ? -errno : name_of(&status, ret_name);
}

/* Source: each driver's ptp_clock_info.name. */
bool ptp_device_follows_host(const char *name)
{
    static const char *const names[] = {
        "KVM virtual PTP", "hyperv", "ena-ptp-", "Virtio PTP", "vmclock"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* Those that udev makes, and the one of Amazon's images. */
static bool has_stable_path(const char *name, char ret_path[PTP_PATH_MAX])
{
    static const char *const paths[] = {"/dev/ptp_kvm", "/dev/ptp_hyperv", "/dev/ptp_ena"};
    char other[PTP_NAME_MAX];

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (ptp_device_name(paths[i], other) == 0 && strcmp(name, other) == 0) {
            snprintf(ret_path, PTP_PATH_MAX, "%s", paths[i]);
            return true;
        }
    }
    return false;
}

bool ptp_device_find_host(char ret_path[PTP_PATH_MAX])
{
    DIR *directory = opendir(CLASS);
    bool found = false;

    if (!directory)
        return false;
    for (struct dirent *entry; !found && (entry = readdir(directory));) {
        char file[sizeof(CLASS) + sizeof(entry->d_name) + 16], name[PTP_NAME_MAX];

        snprintf(file, sizeof(file), CLASS "/%s/clock_name", entry->d_name);
        if (entry->d_name[0] == '.' || read_name(file, name) < 0 || !ptp_device_follows_host(name))
            continue;
        found = has_stable_path(name, ret_path) ||
                snprintf(ret_path, PTP_PATH_MAX, "/dev/%s", entry->d_name) < PTP_PATH_MAX;
    }
    closedir(directory);
    return found;
}

int ptp_device_ahead(const char *path, int *ret_sec)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct timespec clock = {0}, system = {0};
    double ahead, whole;
    int error;

    if (fd < 0)
        return -errno;
    error =
        clock_gettime(FD_TO_CLOCKID(fd), &clock) < 0 || clock_gettime(CLOCK_REALTIME, &system) < 0
            ? errno
            : 0;
    close(fd);
    if (error)
        return -error;
    ahead =
        (double)(clock.tv_sec - system.tv_sec) + 1e-9 * (double)(clock.tv_nsec - system.tv_nsec);
    whole = rint(ahead);
    if (fabs(ahead - whole) > AHEAD_OFF_SEC || (whole != 0 && (whole < 30 || whole > 45)))
        return -ERANGE;
    *ret_sec = (int)whole;
    return 0;
}

static uint64_t hash(uint64_t h, const char *text)
{
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return h;
}

/* Another path may lead to another clock of the same name. */
static uint64_t id_of(const char *name, const char *path)
{
    const uint64_t h = hash(hash(UINT64_C(0xcbf29ce484222325), name), path);

    return h ? h : 1;
}

/* The only clock of that name, whatever its number. */
static bool find_by_name(const char *name, char *ret_path, size_t size)
{
    DIR *directory = opendir(CLASS);
    unsigned found = 0;

    if (!directory)
        return false;
    for (struct dirent *entry; (entry = readdir(directory));) {
        char file[sizeof(CLASS) + sizeof(entry->d_name) + 16], other[PTP_NAME_MAX];

        snprintf(file, sizeof(file), CLASS "/%s/clock_name", entry->d_name);
        if (entry->d_name[0] == '.' || read_name(file, other) < 0 || strcmp(other, name) != 0)
            continue;
        found++;
        snprintf(ret_path, size, "/dev/%s", entry->d_name);
    }
    closedir(directory);
    return found == 1;
}

/* Where it is now: at its path, unless another clock is there that it was not. */
static bool find(const struct ptp_device *device, char *ret_path, size_t size)
{
    char name[PTP_NAME_MAX];

    if (ptp_device_name(device->path, name) == 0 &&
        (device->name[0] == '\0' || strcmp(name, device->name) == 0)) {
        snprintf(ret_path, size, "%s", device->path);
        return true;
    }
    return device->name[0] && find_by_name(device->name, ret_path, size);
}

/* Whether what was opened is what is found there: the kernel gives no other clock that number. */
static bool is_open(const struct ptp_device *device, const char *path)
{
    struct stat opened, there;

    return device->fd >= 0 && fstat(device->fd, &opened) == 0 && stat(path, &there) == 0 &&
           opened.st_rdev == there.st_rdev;
}

/* A descriptor, or -1: it cannot be opened, or is not to be used. */
static int open_clock(const char *path, bool host_only, char ret_name[PTP_NAME_MAX])
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;

    if (fd < 0)
        return -1;
    if (fstat(fd, &status) == 0 && name_of(&status, ret_name) == 0 &&
        (!host_only || ptp_device_follows_host(ret_name)))
        return fd;
    close(fd);
    return -1;
}

static void lose(struct ptp_device *device)
{
    if (device->fd >= 0)
        message_log(LINE(PTP_GONE), device->path);
    ptp_device_close(device);
}

/* The clock of another setting, and its name, say nothing of this one. */
static void take_setting(struct ptp_device *device, const char *path, bool host_only)
{
    if (strcmp(device->path, path) == 0 && device->host_only == host_only)
        return;
    ptp_device_close(device);
    device->name[0] = '\0';
    snprintf(device->path, sizeof(device->path), "%s", path);
    device->host_only = host_only;
}

void ptp_device_check(struct ptp_device *device, const char *path, bool host_only)
{
    char found[sizeof("/dev/") + 256], name[PTP_NAME_MAX] = "";
    int fd;

    take_setting(device, path, host_only);
    if (!path[0])
        return;
    if (!find(device, found, sizeof(found))) {
        lose(device);
        return;
    }
    if (is_open(device, found))
        return;
    fd = open_clock(found, host_only, name);
    if (fd < 0) {
        lose(device);
        return;
    }
    ptp_device_close(device);
    device->fd = fd;
    memcpy(device->name, name, sizeof(name));
    device->id = id_of(name, path);
    device->limited = strncmp(name, "ena-ptp-", 8) == 0;
    message_log(LINE(PTP_FOUND), found, name);
}
