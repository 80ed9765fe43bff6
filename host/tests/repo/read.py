"""Reads a repository that `tendon repo` has published with python-tuf, the reference implementation of TUF.

read.py REPOSITORY TARGET SECONDS: refreshes from the first root, at this moment, and downloads the target. Prints its size.
"""

import datetime
import pathlib
import sys
import tempfile
import urllib.parse

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface


class Folder(FetcherInterface):
    """Takes file:// addresses."""

    def _fetch(self, url):
        path = pathlib.Path(urllib.parse.unquote(urllib.parse.urlparse(url).path))
        if not path.is_file():
            raise DownloadHTTPError(f"no {path}", 404)
        yield path.read_bytes()


repository, target, seconds = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with tempfile.TemporaryDirectory() as trusted, tempfile.TemporaryDirectory() as downloads:
    updater = Updater(
        metadata_dir=trusted,
        metadata_base_url=f"file://{repository}/metadata/",
        target_dir=downloads,
        target_base_url=f"file://{repository}/targets/",
        fetcher=Folder(),
        bootstrap=(repository / "metadata/1.root.json").read_bytes(),
    )
    updater._trusted_set.reference_time = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    updater.refresh()
    info = updater.get_targetinfo(target)
    print(pathlib.Path(updater.download_target(info)).stat().st_size)
