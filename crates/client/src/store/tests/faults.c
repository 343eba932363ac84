/* Preloaded into a process that writes a store: ends the process, or lets a call fail, at the nth call that changes a file in one folder.
 *
 * FAULT_HOME: the folder. FAULT_AT: n, from 1; 0 counts alone. FAULT_MODE: what happens then:
 *   k  killed before the call          t  killed after half of the write
 *   p  power loss: killed, and what no fsync brought to the disk is gone      q  the same, but every other such write is there
 *   e  the call fails with EIO         i  it and every later one fails with EIO     s  every later write finds the disk full
 * How many calls there were is said on standard output at the end. No fsync is passed on: a page cache survives a process. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

enum call { WRITE, SIZE, SYNC, NAME };

static long calls, at;
static char mode;
static const char *home;

/* What a write that no fsync followed yet has changed. */
struct change {
    struct change *before;
    char path[PATH_MAX];
    off_t offset, size;
    size_t length;
    char old[];
};
static struct change *changes;

__attribute__((constructor)) static void begin(void) {
    home = getenv("FAULT_HOME");
    at = atol(getenv("FAULT_AT") ? getenv("FAULT_AT") : "0");
    mode = *(getenv("FAULT_MODE") ? getenv("FAULT_MODE") : "k");
}

__attribute__((destructor)) static void end(void) {
    printf("calls %ld\n", calls);
    fflush(stdout);
}

static int is_ours(const char *path) { return home && strncmp(path, home, strlen(home)) == 0; }

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return is_ours(path);
}

static void lose_power(void) {
    int turn = 0;
    for (struct change *change = changes; change; change = change->before) {
        if (mode == 'q' && turn++ % 2) continue;
        int fd = open(change->path, O_RDWR);
        if (fd < 0) continue;
        if (REAL(pwrite64)(fd, change->old, change->length, change->offset) < 0) abort();
        if (REAL(ftruncate64)(fd, change->size) < 0) abort();
        close(fd);
    }
}

/* 0: go on. -1: fail. Comes back for a write that is to be torn with 1. */
static int fault(enum call call) {
    if (++calls < at || !at) return 0;
    int is_now = calls == at;
    switch (mode) {
    case 't':
        if (is_now && call == WRITE) return 1;
        break;
    case 'e':
    case 'i':
        if (mode == 'e' && !is_now) return 0;
        errno = EIO;
        return -1;
    case 's':
        if (call != WRITE && call != SIZE) return 0;
        errno = ENOSPC;
        return -1;
    case 'p':
    case 'q':
        if (is_now) lose_power();
        break;
    }
    if (is_now) kill(getpid(), SIGKILL);
    return 0;
}

static void remember(int fd, const char *path, off_t offset, size_t length) {
    struct stat stat;
    if (fstat(fd, &stat)) return;
    struct change *change = malloc(sizeof *change + length);
    change->before = changes;
    strcpy(change->path, path);
    change->offset = offset;
    change->size = stat.st_size;
    ssize_t old = pread64(fd, change->old, length, offset);
    change->length = old < 0 ? 0 : (size_t)old;
    changes = change;
}

static void forget(const char *path) {
    for (struct change **place = &changes; *place;) {
        struct change *change = *place;
        if (strcmp(change->path, path) == 0) {
            *place = change->before;
            free(change);
        } else {
            place = &change->before;
        }
    }
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) {
    char path[PATH_MAX];
    if (fd > 2 && path_of(fd, path)) {
        int found = fault(WRITE);
        if (found < 0) return -1;
        remember(fd, path, offset, length);
        if (found > 0) {
            REAL(pwrite64)(fd, bytes, length / 2, offset);
            kill(getpid(), SIGKILL);
        }
    }
    return REAL(pwrite64)(fd, bytes, length, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return pwrite64(fd, bytes, length, offset); }

ssize_t write(int fd, const void *bytes, size_t length) {
    char path[PATH_MAX];
    if (fd > 2 && path_of(fd, path)) {
        int found = fault(WRITE);
        if (found < 0) return -1;
        remember(fd, path, lseek(fd, 0, SEEK_CUR), length);
        if (found > 0) {
            REAL(write)(fd, bytes, length / 2);
            kill(getpid(), SIGKILL);
        }
    }
    return REAL(write)(fd, bytes, length);
}

int ftruncate64(int fd, off_t length) {
    char path[PATH_MAX];
    if (path_of(fd, path)) {
        if (fault(SIZE) < 0) return -1;
        struct stat stat;
        if (!fstat(fd, &stat) && stat.st_size > length) remember(fd, path, length, (size_t)(stat.st_size - length));
    }
    return REAL(ftruncate64)(fd, length);
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int fsync(int fd) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return 0;
    if (fault(SYNC) < 0) return -1;
    forget(path);
    return 0;
}

int fdatasync(int fd) { return fsync(fd); }

int rename(const char *from, const char *to) {
    if (is_ours(from)) {
        if (fault(NAME) < 0) return -1;
        /* What was written under the old name lies under the new one. */
        forget(to);
        for (struct change *change = changes; change; change = change->before)
            if (strcmp(change->path, from) == 0) strcpy(change->path, to);
    }
    return REAL(rename)(from, to);
}

int unlink(const char *path) {
    if (is_ours(path)) {
        if (fault(NAME) < 0) return -1;
        forget(path);
    }
    return REAL(unlink)(path);
}
