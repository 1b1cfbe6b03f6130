# lib.sh: what qemu/boot and tests/run have in common: installs the Debian packages of packages.txt and builds the project.
# To be sourced by bash with $top set to the source folder.

die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }
say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

# The names of the given sections of packages.txt.
packages() {
	awk -v want=" $* " '/^# == / { name = $3; sub(/:$/, "", name); on = index(want, " " name " ") } on && /^[a-z0-9]/ { print $1 }' "$top/packages.txt" | sort -u
}

# Those of the names on stdin that are not installed. A package that only something else provides counts as installed: dpkg knows what is there.
missing() {
	local have; have=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' 2>/dev/null | awk '$1 == "installed" { print $2 }' | sort -u)
	comm -23 - <(printf '%s\n' "$have")
}

# Install what is missing of the given sections; asks the network for nothing when all is there.
need_packages() {
	command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || die "this needs Debian (apt-get and dpkg-query are not there): install the packages of packages.txt by hand on another system"
	local want; want=$(packages "$@" | missing)
	[ -n "$want" ] || return 0
	[ "$(id -u)" = 0 ] || die "these packages are missing: $(echo $want). Install them, as root: apt-get install $(echo $want)"
	say "installing: $(echo $want)"
	local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
	local log; log=$(mktemp)
	if ! apt-cache show $want >/dev/null 2>&1; then "${apt[@]}" update >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; die "apt-get update failed: see above; is the network there, and are the apt sources right?"; }; fi
	if ! "${apt[@]}" install --no-install-recommends $want >"$log" 2>&1; then # lists may be older than what the mirrors hold
		"${apt[@]}" update >>"$log" 2>&1
		"${apt[@]}" install --no-install-recommends $want >>"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; die "apt-get could not install what is missing: see above"; }
	fi
	rm -f "$log"
}

# Where built images, kernels and userlands are kept: RASTOS_CACHE, or .cache in the source folder.
cache_dir() { realpath -m -- "${RASTOS_CACHE:-$top/.cache}"; }

# build DIR [MESON OPTION...]: configure when that has not been done with the same options, and compile. Quiet unless it fails.
build() {
	local dir=$1; shift
	local stamp="$dir/.options" log="$dir.log"
	mkdir -p "$dir"
	if [ ! -f "$dir/build.ninja" ] || [ "$(cat "$stamp" 2>/dev/null)" != "$*" ]; then
		rm -rf "$dir"; mkdir -p "$dir"
		meson setup "$dir" "$top" "$@" >"$log" 2>&1 || { cat "$log" >&2; die "meson setup $dir failed: see above"; }
		printf '%s' "$*" >"$stamp"
	fi
	ninja -C "$dir" -n 2>/dev/null | grep -q "no work to do" || say "building rastOS"
	ninja -C "$dir" >"$log" 2>&1 || { grep -v '^\[[0-9/]*\] ' "$log" | tail -n 60 >&2; die "the build in $dir failed: see above ($log has all of it)"; }
}
