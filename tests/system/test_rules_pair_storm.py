#!/usr/bin/env python3
"""A real pair in a packet storm, through every event that could open it for a moment: a witness on the WAN's wire
counts what must never pass, and that is nothing. (`./dev bench rules storm` goes through it for minutes.)"""
import os
import sys
import unittest

import pair as lab
import pair_stormlab as storm

EVENTS = tuple(sys.argv[1:]) or storm.ROUND + storm.SLOW


class Storm(unittest.TestCase):
    def test_every_event(self):
        with storm.StormPair() as pair:
            pair.starts()
            for name in EVENTS:
                getattr(pair, name)()
            print(f"{pair.tally}\nwitness: {pair.counters()}", flush=True)
            pair.witness_sees()


if __name__ == "__main__":
    lab.need_root()
    unittest.main(argv=sys.argv[:1])
