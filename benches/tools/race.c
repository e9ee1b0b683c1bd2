/* Times commands against each other: `race ROUNDS [-u UNDO] -- A… -- B… [-- C…]` runs A, B, C, A, B, C and so on,
 * ROUNDS times each, so that whatever else the machine does meets all of them, and prints each one's tenth percentile
 * in microseconds, one line each: other work only ever adds to a time, so the low ones are the command's own. UNDO,
 * split at spaces, is run after each command and not timed. Commands must succeed; what they print goes to /dev/null,
 * or to stderr with RACE_LOUD in the environment. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COMMANDS = 8, WORDS = 64 };
extern char **environ;
static posix_spawn_file_actions_t quiet;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "race: %s: %s\n", what, why);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static double run(char **argv)
{
    pid_t child;
    int status;
    double start = now();
    int error = posix_spawnp(&child, argv[0], &quiet, NULL, argv, environ);
    if (error)
        die(argv[0], strerror(error));
    if (waitpid(child, &status, 0) < 0)
        die("waitpid", strerror(errno));
    double took = now() - start;
    if (status)
        die(argv[0], "it failed");
    return took;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    char **commands[COMMANDS], *undo[WORDS] = { 0 };
    int count = 0, rounds = argc > 1 ? atoi(argv[1]) : 0, at = 2;
    if (at + 1 < argc && !strcmp(argv[at], "-u")) {
        int words = 0;
        for (char *word = strtok(argv[at + 1], " "); word && words < WORDS - 1; word = strtok(NULL, " "))
            undo[words++] = word;
        at += 2;
    }
    for (; at < argc; at++)
        if (!strcmp(argv[at], "--") && count < COMMANDS) {
            argv[at] = NULL;
            commands[count++] = argv + at + 1;
        }
    if (rounds < 1 || !count) {
        fputs("usage: race ROUNDS [-u UNDO] -- COMMAND [-- COMMAND]...\n", stderr);
        return 2;
    }
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 0, "/dev/null", O_RDONLY, 0);
    if (getenv("RACE_LOUD"))
        posix_spawn_file_actions_adddup2(&quiet, 2, 1);
    else {
        posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
        posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
    }
    double *times = calloc((size_t)count * rounds, sizeof *times);
    if (!times)
        die("calloc", strerror(errno));
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < count; i++) {
            times[i * rounds + round] = run(commands[i]);
            if (undo[0])
                run(undo);
        }
    for (int i = 0; i < count; i++) {
        qsort(times + i * rounds, rounds, sizeof *times, by_size);
        printf("%.1f\n", times[i * rounds + rounds / 10]);
    }
    return 0;
}
