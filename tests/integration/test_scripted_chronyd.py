# SPDX-License-Identifier: BSD-2-Clause
"""The scripted chronyd itself, against a tiny client and beside a real chronyd."""

import os
import socket
import struct
import time
import unittest

import real_chronyd
import scripted_chronyd as script
from harness import Case, eventually


class Client:
    """Speaks to a chronyd as a client must: from a socket bound beside chronyd's."""

    def __init__(self, command_path, name="client.sock"):
        self.command_path = command_path
        self.path = os.path.join(os.path.dirname(command_path), name)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self.socket.settimeout(5)

    def send(self, command, sequence=1, data=b""):
        header = script.REQUEST_HEADER.pack(6, 1, 0, 0, command, 0, sequence, 0, 0)
        request = (header + data).ljust(script.LENGTHS[command], b"\0")
        self.socket.sendto(request, self.command_path)

    def receive(self):
        return self.socket.recv(65536)

    def ask(self, command, sequence=1, data=b""):
        self.send(command, sequence, data)
        return self.receive()

    def hears_nothing(self, seconds=0.1):
        self.socket.settimeout(seconds)
        try:
            self.receive()
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(5)
        return False

    def stop(self):
        self.socket.close()

    def evidence(self):
        return ""


class ScriptedChronydTest(Case):
    needs = ()

    def setUp(self):
        super().setUp()
        self.chronyd = self.witness(
            script.ScriptedChronyd(self.path("ref.sock"), self.path("chronyd.sock")).start()
        )
        self.client = self.witness(Client(self.chronyd.command_path))

    def status(self, reply):
        return struct.unpack_from(">H", reply, 8)[0]

    def test_a_request_is_recorded_decoded_and_answered(self):
        before = time.time()
        reply = self.client.ask(
            script.DFREQ, 77, script.float_encode(-12.5).to_bytes(4, "big")
        )
        self.assertEqual(reply.hex(), "0602000000" + "1f0001" + "0000" * 4 + "0000004d" + "00" * 8)
        (request,) = self.chronyd.sent(script.DFREQ)
        self.assertEqual((request.sequence, request.data, request.faults()), (77, -12.5, []))
        self.assertTrue(before <= request.sent <= time.time())

    def test_chrony_floats_survive_the_journey_there_and_back(self):
        for value in (0.0, 1.0, -1.0, 1e-6, -1e-4, 8.0, 123.456, -5e-3, 1e-9, 0.99999999):
            decoded = script.float_decode(script.float_encode(value))
            self.assertAlmostEqual(decoded, value, delta=abs(value) * 6e-8)

    def test_a_fault_in_a_request_is_seen(self):
        for raw, fault in (
            (b"\x05\x01\0\0\0\x42" + bytes(22), "starts"),
            (b"\x06\x01\0\0\0\x42" + bytes(23), "29 bytes"),
            (b"\x06\x01\0\0\0\x42" + bytes(6) + b"\1" + bytes(15), "reserved"),
            (b"\x06\x01\0\0\0\x42" + bytes(21) + b"\1", "padding"),
            (b"\x06\x01\0\0\1\x42" + bytes(22), "unknown"),
        ):
            self.assertIn(fault, " ".join(script.Request(raw, 0.0, None).faults()))

    def test_answers_follow_the_script_and_then_the_usual(self):
        self.chronyd.script(script.RESET_SOURCES, script.refuse(1), script.late(0.2))
        self.assertEqual(self.status(self.client.ask(script.RESET_SOURCES)), 1)
        before = time.monotonic()
        self.assertEqual(self.status(self.client.ask(script.RESET_SOURCES)), 0)
        self.assertGreater(time.monotonic() - before, 0.19)
        self.chronyd.always(script.RESET_SOURCES, script.refuse(3))
        for _ in range(2):
            self.assertEqual(self.status(self.client.ask(script.RESET_SOURCES)), 3)

    def test_silence_is_silent_and_a_doubled_reply_comes_twice(self):
        self.chronyd.script(script.RESET_SOURCES, script.silent, script.doubled)
        self.client.send(script.RESET_SOURCES)
        self.assertTrue(self.client.hears_nothing())
        self.assertEqual(self.client.ask(script.RESET_SOURCES), self.client.receive())

    def test_each_kind_of_garbage_differs_from_the_good_reply(self):
        for kind, answer in script.GARBAGE.items():
            with self.subTest(kind):
                self.chronyd.script(script.RESET_SOURCES, script.ok, answer)
                good = self.client.ask(script.RESET_SOURCES, 5)
                self.assertNotEqual(self.client.ask(script.RESET_SOURCES, 5), good)

    def test_a_forged_reply_comes_from_another_socket(self):
        self.chronyd.script(script.RESET_SOURCES, script.forged(), script.forged(None))
        self.client.send(script.RESET_SOURCES)
        _, sender = self.client.socket.recvfrom(100)
        self.assertEqual(os.path.basename(sender), "forger.sock")
        self.client.send(script.RESET_SOURCES)
        _, sender = self.client.socket.recvfrom(100)
        self.assertFalse(sender)
        eventually(lambda: self.chronyd.forged == 2)

    def test_it_dies_on_a_request_and_comes_back(self):
        self.chronyd.script(script.RESET_SOURCES, script.restarting(0.2))
        self.client.send(script.RESET_SOURCES)
        eventually(lambda: self.chronyd.sent(script.RESET_SOURCES))
        with self.assertRaises(ConnectionRefusedError):
            self.client.send(script.RESET_SOURCES)
        eventually(lambda: len(self.chronyd.listened) == 2)
        self.assertEqual(self.status(self.client.ask(script.RESET_SOURCES)), 0)

    def test_frozen_it_lets_requests_pile_up(self):
        self.chronyd.freeze()
        self.client.socket.setblocking(False)
        with self.assertRaises(BlockingIOError):
            for _ in range(10000):
                self.client.send(script.RESET_SOURCES)
        self.assertEqual(self.chronyd.requests, [])
        self.chronyd.thaw()
        eventually(lambda: self.chronyd.requests)

    def test_times_are_when_the_sender_sent(self):
        self.chronyd.freeze()
        self.client.send(script.RESET_SOURCES)
        sent = time.time()
        time.sleep(0.1)
        self.chronyd.thaw()
        eventually(lambda: self.chronyd.requests)
        self.assertAlmostEqual(self.chronyd.requests[0].sent, sent, delta=0.05)

    def test_tracking_follows_samples_and_a_reset(self):
        def refid():
            return struct.unpack_from(">I", self.client.ask(script.TRACKING), 28)[0]

        self.assertEqual(refid(), 0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            for _ in range(self.chronyd.selects_after):
                sample = script.SAMPLE.pack(1, 2, 0.5, 0, 0, 0, script.SAMPLE_MAGIC)
                sender.sendto(sample, self.chronyd.sock_path)
        eventually(lambda: refid() == script.VMCL)
        self.assertAlmostEqual(self.chronyd.samples[0].time, 1.000002)
        self.assertEqual(self.chronyd.samples[0].offset, 0.5)
        self.client.ask(script.RESET_SOURCES)
        self.assertEqual(refid(), 0)

    @unittest.skipIf(real_chronyd.missing(), real_chronyd.missing())
    def test_its_replies_have_the_form_of_a_real_ones(self):
        real = self.witness(real_chronyd.RealChronyd(self.path("real"))).start()
        other = self.witness(Client(real.command_path))
        address = socket.inet_aton("192.0.2.1").ljust(16, b"\0") + b"\0\1\0\0"
        for command, data in (
            (script.RESET_SOURCES, b""),
            (script.TRACKING, b""),
            (script.BURST, bytes(40) + struct.pack(">ii", 4, 8)),
            (script.MODIFY_MINPOLL, address + struct.pack(">i", 0)),
            (script.MODIFY_MAKESTEP, struct.pack(">iI", 3, script.float_encode(1.0))),
            (script.DFREQ, bytes(4)),
            (script.DOFFSET2, bytes(4)),
        ):
            with self.subTest(script.NAMES[command]):
                ours = self.client.ask(command, 9, data)
                its = other.ask(command, 9, data)
                self.assertEqual(ours[:28].hex(), its[:28].hex())
                self.assertEqual(len(ours), len(its))
        # A real one has our reference clock as a source, hence only the form of the number.
        self.assertEqual(len(self.client.ask(script.N_SOURCES)), len(other.ask(script.N_SOURCES)))

    @unittest.skipIf(real_chronyd.missing(), real_chronyd.missing())
    def test_chronyc_understands_it(self):
        self.client.ask(script.TRACKING)
        self.chronyd.refid = script.VMCL
        real = real_chronyd.RealChronyd(self.path("real"))
        real.command_path = self.chronyd.command_path
        self.assertEqual(real.tracking()["refid"], "VMCL")
