# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# To be sourced: Debian packages from other suites, through apt with sources and
# lists of its own, so that the machine's own apt configuration stays as it is.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
VM_DIR=${VM_DIR:-$(dirname "$(dirname "$here")")/build/vm}
mkdir -p "$VM_DIR"
VM_DIR=$(cd "$VM_DIR" && pwd)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# What apt knows of Debian's own archives, as "URI RELEASE CODENAME" lines.
# shellcheck disable=SC2016
debian_archives() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(CODENAME)' \
        'Created-By: Packages' 'Origin: Debian' 'Component: main' | sort -u
}

# private_apt LISTS COMMAND...: apt-get or apt-cache on one set of private lists, of
# the architecture $DEB_ARCH if that is set.
private_apt() {
    local dir=$VM_DIR/apt/$1 command=$2 foreign=()
    shift 2
    [ -z "${DEB_ARCH:-}" ] || foreign=(-o "APT::Architecture=$DEB_ARCH" -o "APT::Architectures=$DEB_ARCH")
    "$command" "${foreign[@]}" -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$dir/sources" \
        -o "Dir::State::lists=$dir/lists" -o "Dir::Cache::pkgcache=$dir/pkgcache" -o Dir::Cache::srcpkgcache= \
        -o Acquire::Languages=none "$@"
}

# has_suite LISTS SUITE
has_suite() {
    private_apt "$1" apt-get indextargets 'Created-By: Packages' 'Component: main' "Codename: $2" | grep -q .
}

# update_lists LISTS SUITE...: fetches private lists of these suites from the
# first of the machine's mirrors that has all of them. LISTS "system" also holds
# whatever the machine itself uses of Debian, so that packages can be installed.
update_lists() {
    local name=$1 dir=$VM_DIR/apt/$1 archives codename mirror uri release
    shift
    codename=$(. /etc/os-release; echo "$VERSION_CODENAME")
    mkdir -p "$dir/sources" "$dir/lists/partial"
    [ -n "$(debian_archives)" ] || apt-get update
    archives=$(debian_archives)
    while read -r mirror; do
        {
            for release in "$@"; do echo "deb [signed-by=$keyring] $mirror $release main"; done
            [ "$name" != system ] || while read -r uri release _; do
                echo "deb [signed-by=$keyring] $uri $release main"
            done <<<"$archives"
        } | sort -u >"$dir/sources/debian.list"
        # one of the machine's own archives may well be out of reach
        private_apt "$name" apt-get update || :
        for release in "$@"; do has_suite "$name" "$release" || continue 2; done
        return
    done < <(awk -v codename="$codename" '$3 == codename && !seen[$1]++ { print $1 }' <<<"$archives")
    echo "no mirror of this machine has $*" >&2
    return 1
}

# download LISTS DIRECTORY PACKAGE...
download() {
    local name=$1 dir=$2
    shift 2
    mkdir -p "$dir"
    # apt would rather fetch as its own user, who may not write here
    (cd "$dir" && private_apt "$name" apt-get -o APT::Sandbox::User=root download "$@")
}

# with_libraries LISTS PACKAGE...: these and, again and again, the libraries that those
# found so far depend on
with_libraries() {
    local name=$1 packages more
    shift
    packages=("$@")
    while :; do
        mapfile -t more < <({
            printf '%s\n' "${packages[@]}"
            private_apt "$name" apt-cache depends --no-recommends --no-suggests --no-conflicts \
                --no-breaks --no-replaces --no-enhances "${packages[@]}" |
                sed -n 's/^ *|*Depends: \(lib[^ :]*\).*/\1/p'
        } | sort -u)
        [ "${more[*]}" != "${packages[*]}" ] || break
        packages=("${more[@]}")
    done
    printf '%s\n' "${packages[@]}"
}
