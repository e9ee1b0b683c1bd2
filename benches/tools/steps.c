/* Counts the instructions that a program executes in user space between its own exec and the next one: it is run
 * step by step under ptrace(2). The count is exact, and the same each time. `steps PROGRAM [ARGUMENT…]` prints it;
 * argv[0] is PROGRAM. What the next program would do is not run. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "steps: %s: %s\n", what, strerror(errno));
    exit(1);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs("usage: steps PROGRAM [ARGUMENT]...\n", stderr);
        return 2;
    }
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execv(argv[1], argv + 1);
        die(argv[1]);
    }
    int status;
    if (waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status))
        die("the program did not start");
    if (ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) < 0)
        die("ptrace");
    unsigned long steps = 0;
    for (int give = 0;;) {
        if (ptrace(PTRACE_SINGLESTEP, child, 0, give) < 0)
            die("ptrace");
        if (waitpid(child, &status, 0) < 0)
            die("waitpid");
        if (WIFEXITED(status) || WIFSIGNALED(status))
            break;
        if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8)) {
            kill(child, SIGKILL);
            break;
        }
        give = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
        steps++;
    }
    printf("%lu\n", steps);
    return 0;
}
