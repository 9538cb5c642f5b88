//go:build linux

package realcluster

// sweep removes the lab's cgroups and directory, which have the same name. Their processes and mounts have ended by
// then, or are about to.
const sweep = `
tries=0
while [ -e "$1" ] && [ $tries -lt 100 ]; do
	tries=$((tries + 1))
	find /sys/fs/cgroup -depth -type d -path "*/${1##*/}*" -exec rmdir {} + 2>/dev/null || { sleep 0.1; continue; }
	rm -rf -- "$1" 2>/dev/null
	sleep 0.1
done
[ ! -e "$1" ] || { echo "cannot remove $1, or the cgroups of its containers" >&2; exit 1; }
`
