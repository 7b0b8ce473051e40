/* Call the kernels in a process of another processor, which sees the memory of the one that asks.
 *
 * Requests come on stdin. A page that a kernel touches is fetched in a signal handler, at the address
 * that it has in the asking process; after the call all of them are sent back, and unmapped. Static
 * and without OpenMP: everything is one thread. emulation.py is the other side. */

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096L
#define MAX_PAGES 65536
#define ARGUMENTS 14

typedef long entry(long, long, long, long, long, long, long, long, long, long, long, long, long, long,
                   double);
#define ENTRY(name) extern long name();
#include "entries.h"
#undef ENTRY
#define ENTRY(name) (entry *)(void *)name,
static entry *const entries[] = {
#include "entries.h"
};

enum { FETCH, DONE, TAKEN };

struct request {
    int64_t entry, arguments[ARGUMENTS];
    double number;
};

struct reply {
    int64_t kind, value; /* FETCH and TAKEN: an address; DONE: what the entry returned */
    int64_t pages;       /* DONE: how many follow, each its address and content */
};

static char *pages[MAX_PAGES];
static int64_t num_pages;

static void transfer(int fd, void *data, long count, int writing) {
    for (char *at = data; count > 0;) {
        long done = writing ? write(fd, at, count) : read(fd, at, count);
        if (done <= 0) _exit(0);
        at += done, count -= done;
    }
}

static void reply(int64_t kind, int64_t value, int64_t count) {
    struct reply r = {kind, value, count};
    transfer(1, &r, sizeof(r), 1);
}

static void fetch(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    char *page = (char *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1));
    char *got = mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    /* The emulator itself may have something there: the next process has it elsewhere. */
    if (got != page || num_pages == MAX_PAGES) {
        reply(TAKEN, (int64_t)page, 0);
        _exit(0);
    }
    reply(FETCH, (int64_t)page, 0);
    transfer(0, page, PAGE, 0);
    pages[num_pages++] = page;
}

/* In the place of the C library's, whose instruction for clearing a block of memory (dc zva) qemu 7.2
 * does not repeat after a signal. */
void *memset(void *to, int value, size_t count) {
    for (size_t i = 0; i < count; i++) {
        ((char *)to)[i] = (char)value;
        __asm__ volatile("" ::: "memory"); /* or the loop would be a call of memset */
    }
    return to;
}

int main(void) {
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    action.sa_sigaction = fetch;
    sigaction(SIGSEGV, &action, 0);
    for (struct request r;;) {
        transfer(0, &r, sizeof(r), 0);
        const int64_t *a = r.arguments;
        long result = entries[r.entry](a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9],
                                       a[10], a[11], a[12], a[13], r.number);
        reply(DONE, result, num_pages);
        while (num_pages) {
            char *page = pages[--num_pages];
            transfer(1, &page, sizeof(page), 1);
            transfer(1, page, PAGE, 1);
            munmap(page, PAGE);
        }
    }
}
