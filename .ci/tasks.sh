# shellcheck shell=bash
# Runs what a script has to do as tasks, some at a time, each after those that it needs. To be sourced by bash with
# `set -euo pipefail`; the script gives three functions and then calls run_tasks:
#
#   follows TASK    prints the tasks that must have ended well before it begins
#   perform TASK    does it
#   ended TASK SECONDS    is told of each that ended well, with its output in $task_logs/TASK
#
# What a task prints is kept, so that no two mix. A task that fails takes those that follow it with it, and what it
# printed comes last. Each leads a process group, so that all of it ends when the script is ended: what a task runs
# must stay in that group, or end its own when it is told to.
set -m
task_logs=$(mktemp -d)
declare -A task_runs=() task_state=() task_began=()
tasks=()
# Whether another task is begun after one has failed. Those that run are never cut short: what they made is theirs to
# take away.
begin_after_failure=yes
# Said of each task that begins, where it is set, to whoever waits for the first output.
say_beginnings=

end_tasks() {
    local process
    for process in "${!task_runs[@]}"; do
        kill -- "-$process" 2>/dev/null || true
    done
    wait
    for process in "${!task_runs[@]}"; do
        printf '\n== %s was cut short; it said:\n' "${task_runs[$process]}"
        cat "$task_logs/${task_runs[$process]}"
    done
    rm -rf "$task_logs"
}

# All that a task follows, then itself.
plan_task() {
    local before
    [ -z "${task_state[$1]:-}" ] || return 0
    task_state[$1]=waits
    for before in $(follows "$1"); do plan_task "$before"; done
    tasks+=("$1")
}

# Whether a task may begin now. One that follows a task that failed never may.
is_ready() {
    local before
    for before in $(follows "$1"); do
        case ${task_state[$before]} in
            ok) ;;
            waits | runs) return 1 ;;
            *)
                task_state[$1]="did not run for want of $before"
                return 1
                ;;
        esac
    done
}

begin_ready_tasks() {
    local task
    for task in "${tasks[@]}"; do
        [ ${#task_runs[@]} -lt "$1" ] || return 0
        if [ "${task_state[$task]}" = waits ] && is_ready "$task"; then
            [ -z "$say_beginnings" ] || printf -- '-- %d:%02d %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$task"
            (
                set +m
                perform "$task"
            ) > "$task_logs/$task" 2>&1 &
            task_runs[$!]=$task
            task_state[$task]=runs
            task_began[$task]=$SECONDS
        fi
    done
}

# usage: run_tasks JOBS TASK…; fails if one of them did.
run_tasks() {
    local jobs=$1 process status task failed=()
    for task in "${@:2}"; do plan_task "$task"; done
    begin_ready_tasks "$jobs"
    while [ ${#task_runs[@]} -gt 0 ]; do
        status=0
        wait -n -p process "${!task_runs[@]}" || status=$?
        task=${task_runs[$process]}
        unset "task_runs[$process]"
        if [ "$status" -eq 0 ]; then
            task_state[$task]=ok
            ended "$task" $((SECONDS - task_began[$task]))
        else
            task_state[$task]="failed after $((SECONDS - task_began[$task])) s"
            [ "$status" -ne 124 ] || task_state[$task]="was stopped at its time-out"
            printf '\n== %s FAILED; what it said comes last\n' "$task"
            failed+=("$task")
        fi
        if [ ${#failed[@]} -eq 0 ] || [ "$begin_after_failure" = yes ]; then begin_ready_tasks "$jobs"; fi
    done
    [ ${#failed[@]} -gt 0 ] || return 0
    for task in "${failed[@]}"; do
        printf '\n== %s FAILED:\n' "$task"
        cat "$task_logs/$task"
    done
    echo
    for task in "${tasks[@]}"; do
        case ${task_state[$task]} in
            ok) ;;
            waits) echo "$task: did not run" ;;
            *) echo "$task: ${task_state[$task]}" ;;
        esac
    done
    return 1
}
