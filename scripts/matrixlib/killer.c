/* Ends the process with SIGKILL right after a write of a message store has reached the system.

   Loaded before the C library (LD_PRELOAD). OMS_KILL_AFTER=ending:n names the store's file (body, header, seqnums) and
   how many writes it survives. QuickFIX writes each of them with one fflush: body, then header (its index), then the
   sequence numbers, then the socket. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char ending[16];
static long left;

__attribute__((constructor)) static void read_order(void) {
  const char *order = getenv("OMS_KILL_AFTER");
  const char *colon = order ? strchr(order, ':') : NULL;
  if (colon && colon - order < (long)sizeof ending - 1) {
    ending[0] = '.';
    memcpy(ending + 1, order, colon - order);
    left = atol(colon + 1);
  }
}

static int is_wanted(FILE *file) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fileno(file));
  ssize_t length = readlink(link, path, sizeof path - 1);
  size_t size = strlen(ending);
  return length > (ssize_t)size && !strncmp(path + length - size, ending, size);
}

int fflush(FILE *file) {
  static int (*real)(FILE *);
  if (!real) {
    real = (int (*)(FILE *))dlsym(RTLD_NEXT, "fflush");
  }
  int result = real(file);
  if (file && ending[0] && is_wanted(file) && __sync_sub_and_fetch(&left, 1) == 0) {
    kill(getpid(), SIGKILL);
  }
  return result;
}
