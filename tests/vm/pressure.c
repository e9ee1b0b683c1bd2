/* Dirties three times the machine's memory, each page with a pattern of its own, and verifies every one: what
 * comes back from swap must be what went there. In C because it runs as a guest's program, static and small. */
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t mix(uint64_t x) {
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    return x ^ (x >> 29);
}

int main(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), words = page / 8;
    size_t pages = 3 * (size_t)sysconf(_SC_PHYS_PAGES), wrong = 0;
    uint64_t *all = mmap(NULL, pages * page, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    for (size_t n = 0; n < pages; n++)
        for (size_t w = 0; w < words; w++)
            all[n * words + w] = mix(n * words + w + 1);
    for (size_t n = 0; n < pages; n++)
        for (size_t w = 0; w < words; w++)
            if (all[n * words + w] != mix(n * words + w + 1)) {
                wrong++;
                break;
            }
    printf("%zu pages, %zu wrong\n", pages, wrong);
    return wrong ? 1 : 0;
}
