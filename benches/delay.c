/* Serves one file through FUSE and waits before each read and write.  delay IMAGE MOUNTPOINT SECONDS
 *
 * What latency.py does, in C: in Python the server itself would be what everything waits for as soon as many requests come at once.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define THREADS 64
#define BUFFER ((1 << 20) + 4096)
#define IMAGE 2

static int device, image;
static off_t size;
static struct timespec delay;

static void answer(uint64_t unique, int error, void *body, size_t length) {
  struct fuse_out_header head = {sizeof head + length, -error, unique};
  struct iovec parts[2] = {{&head, sizeof head}, {body, length}};
  if (writev(device, parts, length ? 2 : 1) < 0 && errno == ENODEV) _exit(0);
}

static void attributes(struct fuse_attr *attr, uint64_t node) {
  attr->ino = node;
  attr->mode = node == 1 ? S_IFDIR | 0755 : S_IFREG | 0600;
  attr->size = node == 1 ? 4096 : size;
  attr->blocks = attr->size / 512;
  attr->nlink = 1;
  attr->blksize = 4096;
}

static void *serve(void *unused) {
  char *request = malloc(BUFFER), *data = malloc(BUFFER);
  for (;;) {
    ssize_t got = read(device, request, BUFFER);
    if (got < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN)) continue;
    if (got < 0) _exit(0); /* unmounted */
    struct fuse_in_header *in = (void *)request;
    char *body = request + sizeof *in;
    switch (in->opcode) {
      case FUSE_READ: {
        struct fuse_read_in *what = (void *)body;
        clock_nanosleep(CLOCK_MONOTONIC, 0, &delay, NULL);
        ssize_t n = pread(image, data, what->size, what->offset);
        answer(in->unique, n < 0 ? errno : 0, data, n < 0 ? 0 : n);
        break;
      }
      case FUSE_WRITE: {
        struct fuse_write_in *what = (void *)body;
        struct fuse_write_out out = {0};
        clock_nanosleep(CLOCK_MONOTONIC, 0, &delay, NULL);
        ssize_t n = pwrite(image, body + sizeof *what, what->size, what->offset);
        out.size = n < 0 ? 0 : n;
        answer(in->unique, n < 0 ? errno : 0, &out, n < 0 ? 0 : sizeof out);
        break;
      }
      case FUSE_INIT: {
        struct fuse_init_in *what = (void *)body;
        struct fuse_init_out out = {0};
        out.major = FUSE_KERNEL_VERSION;
        out.minor = FUSE_KERNEL_MINOR_VERSION < what->minor ? FUSE_KERNEL_MINOR_VERSION : what->minor;
        out.flags = what->flags & (FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO | FUSE_MAX_PAGES);
        out.max_readahead = what->max_readahead;
        out.max_background = 256;
        out.congestion_threshold = 200;
        out.max_write = 1 << 20;
        out.max_pages = 256;
        answer(in->unique, 0, &out, sizeof out);
        break;
      }
      case FUSE_LOOKUP: {
        struct fuse_entry_out out = {0};
        out.nodeid = IMAGE;
        out.entry_valid = out.attr_valid = 3600;
        attributes(&out.attr, IMAGE);
        answer(in->unique, strcmp(body, "image") ? ENOENT : 0, &out, strcmp(body, "image") ? 0 : sizeof out);
        break;
      }
      case FUSE_GETATTR:
      case FUSE_SETATTR: {
        struct fuse_attr_out out = {3600, 0, 0, {0}};
        attributes(&out.attr, in->nodeid);
        answer(in->unique, 0, &out, sizeof out);
        break;
      }
      case FUSE_OPEN: {
        struct fuse_open_out out = {0, FOPEN_DIRECT_IO, 0};
        answer(in->unique, 0, &out, sizeof out);
        break;
      }
      case FUSE_STATFS: {
        struct fuse_statfs_out out = {{0}};
        out.st.bsize = out.st.frsize = 4096;
        out.st.namelen = 255;
        answer(in->unique, 0, &out, sizeof out);
        break;
      }
      case FUSE_FLUSH:
      case FUSE_RELEASE:
      case FUSE_FSYNC:
        answer(in->unique, 0, NULL, 0);
        break;
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
        break;
      default:
        answer(in->unique, ENOSYS, NULL, 0);
    }
  }
  return unused;
}

int main(int count, char **arguments) {
  if (count != 4) return 2;
  double seconds = atof(arguments[3]);
  struct stat st;
  char options[100];
  pthread_t thread;
  delay.tv_nsec = (long)(seconds * 1e9);
  image = open(arguments[1], O_RDWR);
  device = open("/dev/fuse", O_RDWR);
  if (image < 0 || device < 0 || fstat(image, &st)) return perror("open"), 3;
  size = st.st_size;
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
  if (mount("holdfast-latency", arguments[2], "fuse", 0, options)) return perror("mount"), 3;
  for (int i = 1; i < THREADS; i++) pthread_create(&thread, NULL, serve, NULL);
  serve(NULL);
  return 0;
}
