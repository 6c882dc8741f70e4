"""A Kafka broker for tests, found in the order of libraries.md section 2; all three kinds behave alike.

1. `MESHFERRY_TEST_KAFKA=host:port`: a broker that is there. Tests that stop it need
   `MESHFERRY_TEST_KAFKA_CONTROL`, a command that is run with `stop` or `start` as its argument.
2. A container, where a Docker engine answers.
3. Apache Kafka from Maven Central, run by the local Java; the jars are kept in .cache/kafka.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import docker
import pytest
from docker.errors import DockerException
from testcontainers.core.container import DockerContainer

KAFKA_VERSION = "4.3.1"
CACHE = Path(__file__).parents[2] / ".cache" / "kafka"
START_TIMEOUT_S = 60
WHAT_TO_INSTALL = (
    "Kafka tests need one of: MESHFERRY_TEST_KAFKA=host:port of a broker, a running Docker engine, or Java 17 and "
    "Maven (Debian: apt-get install openjdk-17-jre-headless maven)"
)

CONFIG = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "2",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "2",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # A compaction test waits for the cleaner: let it look often and need little memory.
    "log.cleaner.backoff.ms": "100",
    "log.cleaner.dedupe.buffer.size": "2097152",
    "num.network.threads": "2",
    "num.io.threads": "4",
    # A broker that was killed may come back this soon; the default makes its next life wait for nine seconds.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
}
"""One broker that is its own controller, and forgets nothing a test relies on."""


class Broker(Protocol):
    """A broker that tests may stop and start; data and address stay."""

    bootstrap: str

    def stop(self) -> None:
        """Take the broker away."""

    def start(self) -> None:
        """Bring it back and wait until it answers."""

    def close(self) -> None:
        """End it for good."""


def find_broker(workspace: Path) -> Broker:
    """Start the first kind of broker this machine offers.

    Args:
        workspace: an empty directory for a broker's data.
    """
    bootstrap = os.environ.get("MESHFERRY_TEST_KAFKA", "")
    if bootstrap:
        return ExternalBroker(bootstrap)
    if _docker_answers():
        return ContainerBroker()
    if shutil.which("java") and shutil.which("mvn"):
        return JavaBroker(workspace, resolve_jars())
    return pytest.fail(WHAT_TO_INSTALL, pytrace=False)


class ExternalBroker:
    """A broker that somebody else runs."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._control = shlex.split(os.environ.get("MESHFERRY_TEST_KAFKA_CONTROL", ""))
        wait_until_ready(bootstrap)

    def stop(self) -> None:
        self._run("stop")

    def start(self) -> None:
        self._run("start")
        wait_until_ready(self.bootstrap)

    def _run(self, order: str) -> None:
        if not self._control:
            pytest.fail(
                f"this test must {order} the broker: set MESHFERRY_TEST_KAFKA_CONTROL to a command that takes "
                "`stop` or `start`, or unset MESHFERRY_TEST_KAFKA",
                pytrace=False,
            )
        subprocess.run([*self._control, order], check=True)

    def close(self) -> None:
        """It is not ours to end."""


class ContainerBroker:
    """A broker in a container with a port of its own on the loopback interface."""

    def __init__(self) -> None:
        port = free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        config = CONFIG | {
            "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.quorum.voters": "1@localhost:9093",
            "log.dirs": "/var/lib/kafka/data",
        }
        self._container = DockerContainer(f"apache/kafka:{KAFKA_VERSION}").with_bind_ports(9092, port)
        for name, value in config.items():
            self._container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
        self._container.start()
        wait_until_ready(self.bootstrap)

    def stop(self) -> None:
        self._container.get_wrapped_container().stop()

    def start(self) -> None:
        self._container.get_wrapped_container().start()
        wait_until_ready(self.bootstrap)

    def close(self) -> None:
        self._container.stop()


class JavaBroker:
    """A broker as a child process."""

    def __init__(self, workspace: Path, jars: Path) -> None:
        port, controller_port = free_port(), free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        self._output = workspace / "broker.log"
        self._java = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{jars}/*"]
        self._properties = workspace / "server.properties"
        self._process: subprocess.Popen[bytes] | None = None
        config = CONFIG | {
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "log.dirs": str(workspace / "data"),
        }
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in config.items()))
        cluster_id = uuid.uuid4().hex[:22]
        self._run("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self._properties))
        self.start()

    def _run(self, *arguments: str) -> None:
        done = subprocess.run([*self._java, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"{arguments[0]} failed: {done.stdout}{done.stderr}", pytrace=False)

    def start(self) -> None:
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [*self._java, "kafka.Kafka", str(self._properties)], stdout=output, stderr=subprocess.STDOUT
            )
        try:
            wait_until_ready(self.bootstrap, self._process)
        except TimeoutError:
            self.stop()
            pytest.fail(f"Kafka did not start:\n{self._output.read_text()[-4000:]}", pytrace=False)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def close(self) -> None:
        self.stop()


POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>meshferry</groupId>
  <artifactId>test-kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


def resolve_jars() -> Path:
    """Give the directory of Kafka's jars, filled by Maven once."""
    jars = CACHE / KAFKA_VERSION
    if jars.is_dir():
        return jars
    CACHE.mkdir(parents=True, exist_ok=True)
    making = CACHE / f"making-{os.getpid()}"
    making.mkdir()
    (making / "pom.xml").write_text(POM)
    done = subprocess.run(
        ["mvn", "-B", "-q", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=lib"],
        cwd=making,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"Maven could not resolve Kafka {KAFKA_VERSION}: {done.stdout[-2000:]}", pytrace=False)
    with suppress(OSError):  # another test run was faster
        (making / "lib").rename(jars)
    shutil.rmtree(making)
    return jars


def free_port() -> int:
    """Give a free port of the loopback interface that no outgoing connection takes while the broker is stopped.

    Raises:
        OSError: none was found.
    """
    for _attempt in range(100):
        port = 20000 + secrets.randbelow(12000)  # below the range of ephemeral ports
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port between 20000 and 32000")


def wait_until_ready(bootstrap: str, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until the broker lists itself.

    Raises:
        TimeoutError: it did not in time, or its process has ended.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while not _lists_a_broker(bootstrap):
        if time.monotonic() > deadline or (process is not None and process.poll() is not None):
            raise TimeoutError(f"no Kafka broker answers at {bootstrap}")
        time.sleep(0.1)


def _lists_a_broker(bootstrap: str) -> bool:
    """Ask with a Metadata request, version 4, for no topics; the answer names the brokers that are ready."""
    host, _, port = bootstrap.split(",", maxsplit=1)[0].rpartition(":")
    request = struct.pack("!hhih", 3, 4, 1, -1) + struct.pack("!ib", 0, 0)
    try:
        with socket.create_connection((host, int(port)), timeout=2) as connection:
            connection.sendall(struct.pack("!i", len(request)) + request)
            answer = connection.recv(16, socket.MSG_WAITALL)
    except OSError:
        return False
    _length_bytes, _correlation_id, _throttle_ms, broker_count = struct.unpack("!iiii", answer.ljust(16, b"\0"))
    return bool(broker_count > 0)


def _docker_answers() -> bool:
    if "DOCKER_HOST" not in os.environ and not Path("/var/run/docker.sock").is_socket():
        return False
    try:
        with docker.from_env(timeout=5) as client:
            return bool(client.ping())
    except DockerException:
        return False
