/* Counts the page faults of a command, from before its exec until its end, whatever it becomes in between: wait4(2)'s
 * ru_minflt. Each is a page that the kernel has to find, copy or clear, so the number says what a call touches.
 * `faults ROUNDS -- A… -- B… [-- C…]` runs each ROUNDS times, in turns, and prints the fewest that each had, one line
 * each: what else the machine does only ever adds some. Where a stack or a library begins decides how many pages it
 * takes, so nothing lies at a random address, the environment is always the same, and the commands' names had better
 * be of one length. Commands must succeed; what they print goes to /dev/null. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { COMMANDS = 8 };
static char *environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
static posix_spawn_file_actions_t quiet;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "faults: %s: %s\n", what, why);
    exit(1);
}

static long run(char **argv)
{
    pid_t child;
    int status;
    struct rusage usage;
    int error = posix_spawnp(&child, argv[0], &quiet, NULL, argv, environment);
    if (error)
        die(argv[0], strerror(error));
    if (wait4(child, &status, 0, &usage) < 0)
        die("wait4", strerror(errno));
    if (status)
        die(argv[0], "it failed");
    return usage.ru_minflt;
}

int main(int argc, char **argv)
{
    char **commands[COMMANDS];
    long fewest[COMMANDS];
    int count = 0, rounds = argc > 1 ? atoi(argv[1]) : 0;
    for (int at = 2; at < argc; at++)
        if (!strcmp(argv[at], "--") && count < COMMANDS) {
            argv[at] = NULL;
            commands[count++] = argv + at + 1;
        }
    if (rounds < 1 || !count) {
        fputs("usage: faults ROUNDS -- COMMAND [-- COMMAND]...\n", stderr);
        return 2;
    }
    if (personality(ADDR_NO_RANDOMIZE) < 0)
        die("personality", strerror(errno));
    posix_spawn_file_actions_init(&quiet);
    for (int fd = 0; fd < 3; fd++)
        posix_spawn_file_actions_addopen(&quiet, fd, "/dev/null", fd ? O_WRONLY : O_RDONLY, 0);
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < count; i++) {
            long faults = run(commands[i]);
            if (round == 0 || faults < fewest[i])
                fewest[i] = faults;
        }
    for (int i = 0; i < count; i++)
        printf("%ld\n", fewest[i]);
    return 0;
}
