# shellcheck shell=bash disable=SC2154 # Who sources it sets `me`.
# What ./try, ./check and .ci/run begin with: root, Rust, and the packages of packaging/debian-packages. To be
# sourced by bash in the repository's directory, after `me` is set to the name that the user called.
#
# All that is missing is named at once, and nothing is touched before it is known that all of it can be had. Where
# every program is there already, apt is not asked for anything.

# What brings root, Rust and the packages of `demo`, `tests` or `ci`; ends the script where one cannot be had.
bring() {
    local level=$1 line package program why problems=0
    # A shell that became root without logging in lacks these.
    PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
    [ -x "$(command -v cargo)" ] || PATH=$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin
    mapfile -t missing < <(missing "$level")
    [ "$(id -u)" -eq 0 ] || complain "needs root: it mounts filesystems and enables swap"
    rust_is_new_enough || problems=1
    if [ ${#missing[@]} -gt 0 ] && { [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; }; then
        complain "needs these programs, each from the Debian package beside it:"
        for line in "${missing[@]}"; do
            read -r package program why <<<"$line"
            printf '    %-20s %-16s %s\n' "${program##*/}" "$package" "$why" >&2
        done
        command -v apt-get >/dev/null || complain "there is no apt-get here: install them, then run it again"
        problems=1
    fi
    if [ "$(id -u)" -ne 0 ] || [ "$problems" -ne 0 ]; then
        complain "nothing was installed or changed"
        exit 1
    fi
    [ ${#missing[@]} -eq 0 ] || install_packages "$level"
}

complain() {
    printf '%s: %s\n' "$me" "$*" >&2
}

# The lines of the list whose programs are not here, without the column of who needs them.
missing() {
    local package program who why
    while read -r package program who why; do
        case $package in '#'* | '') continue ;; esac
        case $who:$1 in
            demo:* | tests:tests | *:ci) is_here "$program" || echo "$package $program $why" ;;
        esac
    done < packaging/debian-packages
}

# A program, or a library that the compiler may find where another system or another machine has it.
is_here() {
    local found
    case $1 in
        /*)
            [ ! -e "$1" ] || return 0
            # Just the name comes back where there is none.
            found=$(cc -print-file-name="${1##*/}" 2>/dev/null) && [ "${found:0:1}" = / ] && [ -e "$found" ]
            ;;
        *) [ -x "$(command -v "$1")" ] ;;
    esac
}

# rustc is asked as well as cargo: rustup's stand-ins for both are there before any toolchain is.
rust_is_new_enough() {
    local least have
    least=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    if ! have=$(cargo --version >/dev/null 2>&1 && rustc --version 2>/dev/null); then
        complain "needs Rust $least or newer: cargo does not run here; rustup brings it"
        if [ -n "${SUDO_USER:-}" ]; then
            complain "where $SUDO_USER has it: sudo env \"PATH=\$PATH\" \"RUSTUP_HOME=\$HOME/.rustup\" $me"
        fi
        return 1
    fi
    have=$(cut -d' ' -f2 <<<"$have")
    if [ "$(printf '%s\n' "$least" "$have" | sort -V | head -n 1)" != "$least" ]; then
        complain "needs Rust $least or newer, and this is $have; rustup brings a newer one"
        return 1
    fi
}

# Somebody who watches sees apt work; a log has what it said only when it failed.
install_packages() {
    local packages log
    mapfile -t packages < <(printf '%s\n' "${missing[@]%% *}")
    echo "$me: installs Debian packages: ${packages[*]}"
    if [ -t 2 ]; then
        apt >&2
    else
        log=$(mktemp)
        if ! apt > "$log" 2>&1; then
            cat "$log" >&2
            rm -f "$log"
            complain "apt-get failed"
            exit 1
        fi
        rm -f "$log"
    fi
    mapfile -t missing < <(missing "$1")
    if [ ${#missing[@]} -gt 0 ]; then
        complain "apt-get brought its packages, and still there is no: ${missing[*]}"
        exit 1
    fi
}

apt() {
    local get=(apt-get --quiet -o DPkg::Lock::Timeout=300)
    export DEBIAN_FRONTEND=noninteractive
    timeout --foreground 300 "${get[@]}" update </dev/null &&
        timeout --foreground 1800 "${get[@]}" install --yes --no-install-recommends "${packages[@]}" </dev/null
}
