# shellcheck shell=bash disable=SC2034
# Sourced by the scripts beside it: a private store for buildah and podman under $STORE, which leaves the machine's own
# store and settings alone.

container_tools=(buildah podman runc mmdebstrap catatonit)

use_store() {
  mkdir -p "$STORE"
  # Docker's limits for a container's processes are asked of the kernel as they are; ours have to be allowed here.
  cat >"$STORE/containers.conf" <<CONF
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
CONF
  cat >"$STORE/storage.conf" <<CONF
[storage]
driver = "overlay"
graphroot = "$STORE/layers"
runroot = "$STORE/run"
CONF
  export CONTAINERS_CONF="$STORE/containers.conf" CONTAINERS_STORAGE_CONF="$STORE/storage.conf"
}

# It warns at every call that there is no systemd.
podman() { command podman --log-level fatal "$@"; }

drop_store() {
  use_store
  podman rm --all --force --time 0 >/dev/null 2>&1 || true
  buildah rm --all >/dev/null 2>&1 || true
  podman umount --all >/dev/null 2>&1 || true
  rm -rf "$STORE"
}
