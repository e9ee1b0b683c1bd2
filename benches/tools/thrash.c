/* Uses more memory than there is: writes every page of SIZE MiB, reads all of them back and checks each, then goes to
 * pages at random, checks and changes them. `thrash SIZE TOUCHES` prints the throughput of the first two in MiB/s, and
 * the median and the 99th percentile of a touch that had to wait (more than two microseconds), in microseconds. A
 * page that is not what was written ends it with status 1. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { PAGE = 4096, WORDS = PAGE / sizeof(uint64_t) };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/* No two pages are alike and none is zero: nothing can be merged or left out. */
static void fill(uint64_t *page, uint64_t seed)
{
    for (int i = 0; i < WORDS; i++)
        page[i] = mix(seed * WORDS + i) | 1;
}

static void check(const uint64_t *page, uint64_t seed, size_t number)
{
    for (int i = 0; i < WORDS; i++)
        if (page[i] != (mix(seed * WORDS + i) | 1)) {
            fprintf(stderr, "thrash: page %zu is wrong\n", number);
            exit(1);
        }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    size_t pages = argc == 3 ? strtoul(argv[1], NULL, 10) << 8 : 0;
    size_t touches = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (!pages || !touches) {
        fputs("usage: thrash MIB TOUCHES\n", stderr);
        return 2;
    }
    uint64_t *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t *seeds = calloc(pages, sizeof *seeds);
    double *waits = calloc(touches, sizeof *waits);
    if (memory == MAP_FAILED || !seeds || !waits) {
        perror("thrash");
        return 1;
    }
    madvise(memory, pages * PAGE, MADV_NOHUGEPAGE);
    double start = now();
    for (size_t i = 0; i < pages; i++)
        fill(memory + i * WORDS, seeds[i] = i);
    for (size_t i = 0; i < pages; i++)
        check(memory + i * WORDS, seeds[i], i);
    double throughput = 2.0 * pages * PAGE / (1 << 20) / ((now() - start) / 1e6);
    size_t waited = 0;
    for (size_t i = 0; i < touches; i++) {
        size_t at = mix(i + 1) % pages;
        start = now();
        volatile uint64_t *first = memory + at * WORDS;
        (void)*first;
        double took = now() - start;
        if (took > 2)
            waits[waited++] = took;
        check(memory + at * WORDS, seeds[at], at);
        fill(memory + at * WORDS, seeds[at] = pages + i);
    }
    qsort(waits, waited, sizeof *waits, by_size);
    printf("%.1f %.1f %.1f\n", throughput, waited ? waits[waited / 2] : 0, waited ? waits[waited * 99 / 100] : 0);
    return 0;
}
