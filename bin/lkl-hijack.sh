#!/bin/sh
# Runs a program on the kernel of this repository: see --help, and README.md.
# Hardly anything is forked on the way to a program when the library is built: that is most of what starting it costs.

me=lkl-hijack

usage() {
    cat <<'EOF'
Usage: lkl-hijack.sh [--kernel NAME] [--disk IMAGE[:PART]:/PLACE[:TYPE][:ro]]... PROGRAM [ARGUMENT]...
       lkl-hijack.sh --list | --stop NAME

Runs PROGRAM, unmodified, with its network served by a kernel of its own. Without configuration there is only lo. With a TAP:

  sudo ip tuntap add dev tap0 mode tap user "$USER"
  sudo ip address add 10.0.0.1/24 dev tap0 && sudo ip link set tap0 up
  LKL_HIJACK_NET_TAP=tap0 LKL_HIJACK_NET_IP=10.0.0.2 LKL_HIJACK_NET_NETMASK_LEN=24 lkl-hijack.sh ping 10.0.0.1

  --kernel NAME  on the kernel of that name, which all commands that name it share (LKL_HIJACK_KERNEL=NAME). The first one starts it, and it
                 lives until it is stopped.
  --disk ...     with the files of a disk image below /PLACE (LKL_HIJACK_DISK=...;...)
  --list         shows the kernels that have names and run
  --stop NAME    ends one, and waits until its peers have all that was sent

Variables: LKL_HIJACK_NET_{TAP,IFTYPE,IFPARAMS,IP,NETMASK_LEN,GATEWAY,IPV6,NETMASK6_LEN,GATEWAY6,IFGATEWAY,IFGATEWAY6,MAC,MTU,NEIGHBOR,QDISC},
LKL_HIJACK_{CONFIG_FILE,BOOT_CMDLINE,MOUNT,DUMP,SINGLE_CPU,KERNEL,DISK,HOST,RESOLV_CONF,SYSCTL,BUSY_POLL,OFFLOAD,FOREIGN,DEBUG,LOG};
README.md explains them. lkl-hijack.json in the working directory is read, too. LKL_HIJACK_LIBRARY names another file to use, called liblkl-hijack.so too, and nothing is built.

Exit status: that of PROGRAM; 125 if it was not started because of the configuration or the build, 126 if it cannot be executed, 127 if
it was not found.
EOF
}

fail() {
    status=$1
    shift
    printf '%s: %s\n' "$me" "$*" >&2
    exit "$status"
}

# Where this script is, through symbolic links.
self=$0
case $self in
    */*) ;;
    *) self=$(command -v -- "$self") ;;
esac
while [ -h "$self" ]; do
    link=$(readlink -- "$self")
    case $link in
        /*) self=$link ;;
        *) self=${self%/*}/$link ;;
    esac
done
dir=${self%/*}
case $dir in
    /*) ;;
    *) dir=$PWD/$dir ;;
esac
root=${dir%/}/..
# As short as it can be had without forking.
case $dir in
    */.. | */../* | */./* | */.) root=$(CDPATH="" cd -P -- "$root" && pwd) ;;
    *) root=${dir%/*} ;;
esac

# A question about kernels, instead of a program.
ask=
while :; do
    case ${1-} in
        --help | -h)
            usage
            exit 0
            ;;
        --version)
            while IFS= read -r line; do
                case $line in
                    version\ =\ *)
                        version=${line#*\"}
                        echo "$me ${version%\"*}"
                        exit 0
                        ;;
                esac
            done <"$root/Cargo.toml"
            fail 125 "$root/Cargo.toml has no version"
            ;;
        --list)
            ask=list
            [ $# -eq 1 ] || fail 125 "--list: expected nothing after it, not $2"
            break
            ;;
        --stop | --stop=*)
            case $1 in
                --stop=*) ask=stop=${1#*=} ;;
                *)
                    shift
                    ask=stop=${1-}
                    ;;
            esac
            [ -n "${ask#stop=}" ] || fail 125 "--stop: expected the name of a kernel"
            [ $# -eq 1 ] || fail 125 "--stop: expected one name, not $2 too"
            break
            ;;
        --kernel | --kernel=*)
            case $1 in
                --kernel=*) LKL_HIJACK_KERNEL=${1#*=} ;;
                *)
                    shift
                    LKL_HIJACK_KERNEL=${1-}
                    ;;
            esac
            [ -n "$LKL_HIJACK_KERNEL" ] || fail 125 "--kernel: expected the name of a kernel"
            export LKL_HIJACK_KERNEL
            shift
            ;;
        --disk | --disk=*)
            case $1 in
                --disk=*) disk=${1#*=} ;;
                *)
                    shift
                    disk=${1-}
                    ;;
            esac
            [ -n "$disk" ] || fail 125 "--disk: expected an image and a place, such as disk.img:/mnt/img"
            LKL_HIJACK_DISK=${LKL_HIJACK_DISK:+$LKL_HIJACK_DISK;}$disk
            export LKL_HIJACK_DISK
            shift
            ;;
        *) break ;;
    esac
done
if [ -n "$ask" ]; then
    # The library answers, and the program does not begin.
    set -- true
fi
case ${1-} in
    --) shift ;;
    -*)
        usage >&2
        fail 125 "there is no option $1"
        ;;
esac
if [ $# -eq 0 ]; then
    usage >&2
    exit 125
fi

out=$root/target/lto
library=$out/liblkl-hijack.so
stamp=$out/.lkl-hijack-built
sources=$out/.lkl-hijack-sources

# Is any source newer than the last build? The build wrote down what the library is made of, so no process has to search.
stale() {
    [ -e "$library" ] && [ -e "$stamp" ] && [ -r "$sources" ] || return 0
    # shellcheck source=/dev/null
    . "$sources"
    any_newer
}

# shellcheck disable=SC2016 # what is written is for the function to expand
# Writes the function any_newer. Cargo's list of sources has names below $root, as the build asks for them.
list_sources() {
    echo 'any_newer() {'
    {
        (cd "$root" && printf '%s\n' Cargo.toml Cargo.lock */Cargo.toml kernel/*/Cargo.toml)
        sed 's/^[^:]*: //' "$out/liblkl_hijack.d" | tr ' ' '\n'
    } | sed -n 's|..*|[ "$root/&" -nt "$stamp" ] \|\||p'
    echo 'false; }'
}

build() {
    command -v cargo >/dev/null 2>&1 || PATH=$PATH:${HOME-}/.cargo/bin
    if ! command -v cargo >/dev/null 2>&1; then
        echo "$me: cargo is needed to build liblkl-hijack.so: install Rust 1.88 or later with rustup" >&2
        return 1
    fi
    if ! command -v cc >/dev/null 2>&1; then
        echo "$me: a C compiler is needed to build liblkl-hijack.so: apt-get install gcc libc6-dev" >&2
        return 1
    fi
    echo "$me: building liblkl-hijack.so; this takes a few minutes the first time, and is done once" >&2
    # Sources that change during the build are newer than the stamp.
    : >"$stamp.new"
    quiet=-q
    if [ -t 2 ]; then
        quiet=
    fi
    # shellcheck disable=SC2086 # one word or none
    if ! (cd "$root" && CARGO_BUILD_DEP_INFO_BASEDIR=$root exec cargo build $quiet --profile lto -p lkl-hijack --target-dir "$root/target") >&2; then
        echo "$me: the build failed" >&2
        return 1
    fi
    # shellcheck disable=SC3013 # dash and busybox have it
    if ! [ "$out/liblkl_hijack.so" -ef "$library" ]; then
        ln -f "$out/liblkl_hijack.so" "$library.new" && mv -f "$library.new" "$library" || return 1
    fi
    list_sources >"$sources.new" && mv -f "$sources.new" "$sources" && mv -f "$stamp.new" "$stamp"
}

# The file that `exec` will find.
find_program() {
    case $1 in
        */*)
            program=$1
            [ -e "$program" ] || fail 127 "$1: not found"
            ;;
        *)
            program="" seen=""
            rest=$PATH:
            while [ -n "$rest" ]; do
                # An empty part of PATH is the working directory.
                try=${rest%%:*}
                try=${try:-.}/$1
                rest=${rest#*:}
                if [ -f "$try" ]; then
                    seen=$try
                    if [ -x "$try" ]; then
                        program=$try
                        break
                    fi
                fi
            done
            [ -n "$program$seen" ] || fail 127 "$1: not found"
            ;;
    esac
    [ -d "$program" ] && fail 126 "$1: is a directory"
    { [ -n "$program" ] && [ -x "$program" ]; } || fail 126 "$1: cannot be executed"
}

loader=/lib64/ld-linux-x86-64.so.2

# Can a library be preloaded into $1? Sets `interpreter` if it is a script.
check_elf() {
    # A file that may not be read, or another architecture, can only be tried.
    if [ ! -r "$1" ] || [ ! -x "$loader" ]; then
        return
    fi
    "$loader" --verify "$1" >/dev/null 2>&1 && return
    IFS= read -r line <"$1"
    case $line in
        '#!'*)
            interpreter=${line#'#!'}
            interpreter=${interpreter#"${interpreter%%[! 	]*}"}
            interpreter=${interpreter%%[ 	]*}
            ;;
        ?ELF*)
            fail 125 "$1: is statically linked: no library can be loaded into it, so it cannot be run on this kernel; a dynamically linked build can"
            ;;
    esac
}

# What is wrong with the program is said before the minutes of the first build.
find_program "$1"
interpreter=
check_elf "$program"
if [ -n "$interpreter" ] && [ -f "$interpreter" ]; then
    check_elf "$interpreter"
fi

# The loader drops preloaded libraries in programs that run with more rights than their caller has. Started through the
# loader by hand, such a program has no more rights than its caller: it needs none from this kernel.
secure=
if [ -u "$program" ] || [ -g "$program" ]; then
    secure=1
fi
if [ -z "$secure" ] && [ ! -O / ]; then
    getcap=/sbin/getcap
    if [ -x "$getcap" ]; then
        [ -z "$("$getcap" "$program" 2>/dev/null)" ] || secure=1
    else
        # Without getcap: those of Debian's that have capabilities.
        case ${program##*/} in
            ping | fping | mtr-packet | arping | clockdiff | traceroute6.iputils) secure=1 ;;
        esac
    fi
fi

if [ -n "${LKL_HIJACK_LIBRARY-}" ]; then
    library=$LKL_HIJACK_LIBRARY
    [ -r "$library" ] || fail 125 "LKL_HIJACK_LIBRARY=$library: expected a file that can be read"
elif [ -e "$root/Cargo.toml" ] && stale; then
    if mkdir -p "$out" 2>/dev/null && [ -w "$out" ]; then
        (
            flock 9 || exit 1
            # Whoever had the lock may have built it meanwhile.
            if stale; then
                build 9>&-
            fi
        ) 9>"$out/.lkl-hijack-lock" || exit 125
    elif [ ! -e "$library" ]; then
        fail 125 "$library is not built, and $out cannot be written"
    fi
fi
[ -e "$library" ] || fail 125 "$library is not there"

case $library in
    *:*) fail 125 "$library: cannot be preloaded, because there is a colon in its name" ;;
    *[[:space:]]*)
        # Names in LD_PRELOAD cannot have spaces, directories in LD_LIBRARY_PATH can.
        LD_LIBRARY_PATH=${library%/*}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
        export LD_LIBRARY_PATH
        library=${library##*/}
        ;;
esac
LD_PRELOAD=$library${LD_PRELOAD:+:$LD_PRELOAD}
export LD_PRELOAD
if [ -n "$ask" ]; then
    export LKL_HIJACK_ASK="$ask"
fi

if [ -n "$secure" ] && [ -x "$loader" ]; then
    name=$1
    shift
    exec "$loader" --argv0 "$name" "$program" "$@"
fi
exec "$@"
