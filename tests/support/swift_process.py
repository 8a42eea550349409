"""OpenStack Swift with its S3 interface in one process. Run by the Python of `.cache/s3`, not by ours: `s3_server`.

    python swift_process.py FOLDER PORT     prints its port when it serves, and ends when its standard input does

Account, container, object and proxy server are the real ones, each on a port of its own that the system chose; only
the four processes are one, which saves their start. Signatures are checked. Port 0 is any.
"""

import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import eventlet  # noqa: E402

eventlet.monkey_patch()

from eventlet import wsgi  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.utils import NullLogger  # noqa: E402
from swift.common.wsgi import SwiftHttpProtocol, loadapp  # noqa: E402

STORAGE = ("account", "container", "object")

SWIFT = """
[swift-hash]
swift_hash_path_suffix = test
swift_hash_path_prefix = test
[storage-policy:0]
name = default
default = yes
"""

SERVER = """
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
log_level = CRITICAL
log_address = {folder}/nowhere
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""

PROXY = """
[DEFAULT]
swift_dir = {folder}
log_level = CRITICAL
log_address = {folder}/nowhere
[pipeline:main]
pipeline = catch_errors cache listing_formats s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
dns_compliant_bucket_names = no
check_bucket_owner = false
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""


def main(folder: Path, port: int) -> None:
    (folder / "devices" / "d1").mkdir(parents=True)
    (folder / "swift.conf").write_text(SWIFT)
    point_at(folder)
    sockets = {name: eventlet.listen(("127.0.0.1", 0)) for name in STORAGE}
    for name, socket in sockets.items():
        make_ring(folder, name, socket.getsockname()[1])
    for name, socket in sockets.items():
        serve(folder, name, SERVER, socket)
    front = eventlet.listen(("127.0.0.1", port))
    serve(folder, "proxy", PROXY, front)
    print(front.getsockname()[1], flush=True)
    eventlet.tpool.execute(sys.stdin.read)


def point_at(folder: Path) -> None:
    """Have Swift read its one file for all servers from here instead of /etc/swift."""
    from swift.common import storage_policy, utils

    utils.SWIFT_CONF_FILE = str(folder / "swift.conf")
    utils.config.HASH_PATH_SUFFIX = utils.config.HASH_PATH_PREFIX = b"test"
    storage_policy.reload_storage_policies()


def make_ring(folder: Path, name: str, port: int) -> None:
    """The table that tells where each part of the data is: all of it on the one device."""
    ring = RingBuilder(part_power=4, replicas=1, min_part_hours=0)
    ring.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "d1", "weight": 1})
    ring.rebalance()
    ring.get_ring().save(str(folder / f"{name}.ring.gz"))


def serve(folder: Path, name: str, configuration: str, socket: object) -> None:
    path = folder / f"{name}.conf"
    path.write_text(configuration.format(folder=folder, name=name))
    eventlet.spawn(wsgi.server, socket, loadapp(str(path)), NullLogger(), protocol=SwiftHttpProtocol)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
