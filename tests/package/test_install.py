#!/usr/bin/env python3
"""`meson install` puts everything where a system looks for it, and the units are sound (systemd-analyze, where there is one)."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD = os.environ["CARPOOL_BUILD"]
PREFIX = os.environ["PREFIX"].lstrip("/")
UNITS = os.environ["UNITDIR"]
HAS_PAGES = os.environ["MANUALS"] == "true"
FILES = ["sbin/carpd", "sbin/syncd", "bin/carpool", "lib/sysctl.d/90-carpool.conf", "lib/sysusers.d/carpool.conf",
         "lib/tmpfiles.d/carpool.conf", "share/bash-completion/completions/carpool", "share/zsh/site-functions/_carpool",
         "share/fish/vendor_completions.d/carpool.fish", "share/carpool/cluster.schema.json", "share/carpool/carpool.lua",
         "share/doc/carpool/examples/pair.yaml", "share/doc/carpool/examples/pair.nft", "share/doc/carpool/operating.md"]
PAGES = ["share/man/man8/carpd.8", "share/man/man8/syncd.8", "share/man/man1/carpool.1", "share/man/man1/carpool-status.1",
         "share/man/man5/cluster.yaml.5"]
# systemd-analyze security's exposure, 0 (best) to 10; doc/privileges.md says where the rest comes from.
EXPOSURE = {"carpd.service": 4.6, "syncd.service": 2.2, "carpool-standby.service": 4.6,
            "carpool-exporter.service": 1.3}


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="carpool-install-")
        cls.root = cls.folder.name
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet"], check=True, capture_output=True,
                       env={**os.environ, "DESTDIR": cls.root})
        cls.units = sorted(glob.glob(f"{cls.root}/{UNITS}/*.service"))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_everything_is_there(self):
        for name in FILES + (PAGES if HAS_PAGES else []):
            self.assertTrue(os.path.isfile(f"{self.root}/{PREFIX}/{name}"), name)

    def test_what_was_installed_runs(self):
        done = subprocess.run([f"{self.root}/{PREFIX}/bin/carpool", "check", "--config",
                               f"{self.root}/{PREFIX}/share/doc/carpool/examples/pair.yaml"], capture_output=True, text=True)
        self.assertIn("edge.key", done.stderr + done.stdout)  # everything but the key, which nobody ships

    def test_units_name_what_is_installed(self):
        names = {os.path.basename(unit) for unit in self.units}
        self.assertEqual(set(EXPOSURE), names)
        for unit in self.units:
            with open(unit, encoding="utf-8") as file:
                text = file.read()
            for program in re.findall(r"^Exec\w+=(/\S+)", text, re.M):
                self.assertTrue(os.access(self.root + program, os.X_OK), f"{unit}: {program}")
            self.assertNotIn("@", re.sub(r"@[a-z-]+", "", text))

    @unittest.skipUnless(shutil.which("systemd-sysusers"), "systemd-sysusers is not installed")
    def test_users_are_made(self):
        with tempfile.TemporaryDirectory(prefix="carpool-users-") as root:
            os.mkdir(root + "/etc")
            done = subprocess.run(["systemd-sysusers", f"--root={root}", f"{self.root}/{PREFIX}/lib/sysusers.d/carpool.conf"],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(root + "/etc/group") as file:
                self.assertRegex(file.read(), r"(?m)^carpool:.*carpool-sync$")

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
    def test_exposure(self):
        for unit in self.units:
            name = os.path.basename(unit)
            done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
                                  capture_output=True, text=True)
            found = re.search(r"exposure level for \S+ ([0-9.]+)|exposure level for \S+: ([0-9.]+)", done.stdout)
            self.assertTrue(found, done.stdout[-300:] + done.stderr)
            figure = float(found[1] or found[2])
            print(f"{name}: exposure {figure}")
            self.assertLessEqual(figure, EXPOSURE[name], name)


if __name__ == "__main__":
    if not shutil.which("meson"):
        print("skipped: meson is not installed")
        sys.exit(77)
    unittest.main(verbosity=2)
