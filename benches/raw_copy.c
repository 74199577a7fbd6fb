/* The floor: how fast can a tree be copied at all?  raw_copy SOURCE DESTINATION PROCESSES
 *
 * Copies directories, files, symbolic links, modes, owners and mtimes, and hashes what it copies with a cheap hash on the way.
 * No extended attributes, no hard links, no proof, no second look, no listing: nothing that one would trust data to.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RANGE ((off_t)64 << 20)
#define BUFFER ((size_t)1 << 20)

static char *buffer;
static uint64_t hash = 88172645463325252ull;
static long counter, own, processes;

static void fail(const char *what, const char *name) {
  fprintf(stderr, "%s %s: %s\n", what, name, strerror(errno));
  _exit(3);
}

static void feed(const char *data, size_t size) {
  uint64_t lane[4] = {hash, hash ^ 1, hash ^ 2, hash ^ 3}, word;
  size_t at = 0;
  for (; at + 32 <= size; at += 32)
    for (int i = 0; i < 4; i++) {
      memcpy(&word, data + at + 8 * i, 8);
      lane[i] = (lane[i] ^ word) * 0x9E3779B185EBCA87ull;
      lane[i] ^= lane[i] >> 29;
    }
  for (; at < size; at++) lane[0] = (lane[0] ^ (unsigned char)data[at]) * 0x100000001B3ull;
  hash = lane[0] ^ (lane[1] << 1) ^ (lane[2] << 2) ^ (lane[3] << 3);
}

static void copy_data(int in, int out, off_t start, off_t end, const char *name) {
  while (start < end) {
    off_t data = lseek(in, start, SEEK_DATA);
    if (data < 0 || data >= end) return;
    off_t hole = lseek(in, data, SEEK_HOLE);
    if (hole > end) hole = end;
    while (data < hole) {
      size_t wanted = (size_t)(hole - data) < BUFFER ? (size_t)(hole - data) : BUFFER;
      ssize_t got = pread(in, buffer, wanted, data);
      if (got <= 0) fail("read", name);
      feed(buffer, got);
      for (ssize_t done = 0, n; done < got; done += n)
        if ((n = pwrite(out, buffer + done, got - done, data + done)) <= 0) fail("write", name);
      data += got;
    }
    start = hole;
  }
}

static void attributes(int out, const struct stat *st) {
  struct timespec times[2] = {st->st_atim, st->st_mtim};
  if (fchown(out, st->st_uid, st->st_gid) && errno != EPERM) fail("chown", "");
  fchmod(out, st->st_mode & 07777);
  futimens(out, times);
}

static int mine(void) { return counter++ % processes == own; }

static void file(int from, int to, const char *name) {
  struct stat st;
  int in = -1, out = -1, small = 0;
  if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW)) fail("stat", name);
  small = st.st_size <= RANGE;
  for (off_t start = 0; start < st.st_size || start == 0; start += RANGE) {
    if (!mine()) continue;
    if (in < 0) {
      in = openat(from, name, O_RDONLY | O_NOFOLLOW);
      out = openat(to, name, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
      if (in < 0 || out < 0) fail("open", name);
    }
    off_t end = start + RANGE < st.st_size ? start + RANGE : st.st_size;
    copy_data(in, out, start, end, name);
    if (small || end == st.st_size) {
      if (!small && ftruncate(out, st.st_size)) fail("truncate", name);
      attributes(out, &st);
    }
  }
  if (in >= 0) close(in), close(out);
}

static void symbolic(int from, int to, const char *name) {
  char target[4096];
  ssize_t size = readlinkat(from, name, target, sizeof target - 1);
  if (size < 0) fail("readlink", name);
  target[size] = 0;
  if (symlinkat(target, to, name)) fail("symlink", name);
}

/* Directories are made in a first walk, before the processes part, and get their attributes in a last one. */
static void walk(int from, int to, int phase) {
  int again = dup(from);
  DIR *dir = fdopendir(again);
  struct dirent *entry;
  struct stat st;
  if (!dir) fail("opendir", "");
  rewinddir(dir);
  while ((entry = readdir(dir))) {
    const char *name = entry->d_name;
    if (!strcmp(name, ".") || !strcmp(name, "..")) continue;
    if (entry->d_type == DT_DIR) {
      if (phase == 0) mkdirat(to, name, 0700);
      int below = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      int into = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (below < 0 || into < 0) fail("open", name);
      walk(below, into, phase);
      if (phase == 2) fstat(below, &st), attributes(into, &st);
      close(below), close(into);
    } else if (phase == 1) {
      if (entry->d_type == DT_REG) file(from, to, name);
      else if (entry->d_type == DT_LNK && mine()) symbolic(from, to, name);
    }
  }
  closedir(dir);
}

int main(int count, char **arguments) {
  if (count != 4) return 2;
  int from = open(arguments[1], O_RDONLY | O_DIRECTORY), to = open(arguments[2], O_RDONLY | O_DIRECTORY);
  if (from < 0 || to < 0) fail("open", "roots");
  processes = atol(arguments[3]);
  buffer = malloc(BUFFER);
  walk(from, to, 0);
  int failed = 0, status;
  for (own = 0; own < processes; own++)
    if (!fork()) {
      walk(from, to, 1);
      fprintf(stderr, "%016llx\n", (unsigned long long)hash);
      _exit(0);
    }
  while (wait(&status) > 0) failed |= status;
  walk(from, to, 2);
  return failed ? 3 : 0;
}
