"""Network namespaces as pods: a bridge, addresses, name resolution through /etc/netns/<name>/hosts."""
import os
import socket
import subprocess


def run(*argv, stdin=None, check=True):
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()} ({stdin or ''})")
    return done.stdout


class Network:
    """10.N.0.0/16: pods in 10.N.0.0/22, ClusterIPs in 10.N.128.0/20, the bridge (and thus this machine) at 10.N.0.1."""

    def __init__(self, state):
        self.state, self.n, self.next_host, self.count = state, state.data["net"], 2, 0
        self.bridge = f"cox-{state.data['id']}"
        self.gateway = f"10.{self.n}.0.1"
        self.service_cidr = f"10.{self.n}.128.0/20"
        self.next_service = 10
        run("ip", "-batch", "-", stdin=f"link add {self.bridge} type bridge\naddr add {self.gateway}/22 dev {self.bridge}\nlink set {self.bridge} up\n")

    def service_address(self):
        self.next_service += 1
        return f"10.{self.n}.{128 + self.next_service // 250}.{self.next_service % 250 + 1}"

    def add(self):
        """A namespace with an address: (name, address)."""
        self.count += 1
        name = f"cox-{self.state.data['id']}-{self.count}"
        address = f"10.{self.n}.{self.next_host // 250}.{self.next_host % 250 + 1}"
        self.next_host += 1
        host = f"cv{self.state.data['id']}{self.count}"
        self.state.add_namespace(name)
        run("ip", "-batch", "-", stdin=f"netns add {name}\nlink add {host} type veth peer name eth0 netns {name}\nlink set {host} master {self.bridge} up\n")
        # Services have no address of their own on any machine: the default route lets the connection start, the capture takes it.
        run("ip", "-n", name, "-batch", "-", stdin=f"link set lo up\naddr add {address}/22 dev eth0\nlink set eth0 up\nroute add default via {self.gateway}\n")
        os.makedirs(f"/etc/netns/{name}", exist_ok=True)
        self.write_hosts(name, address, name, {})
        with open(f"/etc/netns/{name}/resolv.conf", "w") as f:
            f.write("nameserver 127.0.0.1\noptions attempts:1 timeout:1\n")  # nobody there: refused at once, not after ten seconds
        return name, address

    @staticmethod
    def write_hosts(name, address, hostname, names):
        """In place: running programs have this very file mounted."""
        text = f"127.0.0.1 localhost\n{address} {hostname}\n" + "".join(f"{a} {' '.join(hosts)}\n" for a, hosts in names.items())
        with open(f"/etc/netns/{name}/hosts", "w") as f:
            f.write(text)

    def remove(self, name):
        run("ip", "netns", "del", name, check=False)
        for path in (f"/etc/netns/{name}/hosts", f"/etc/netns/{name}/resolv.conf", f"/etc/netns/{name}"):
            try:
                os.rmdir(path) if os.path.isdir(path) else os.unlink(path)
            except OSError:
                pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
