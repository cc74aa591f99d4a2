"""Lab 5: versions. covers: a11 a20 a21 a22"""
import collections
import threading
import time

from coxlab.lab import eventually, request

# Chi-square with one degree of freedom: a fair split exceeds this once in ten thousand runs.
CHI_SQUARE_BOUND = 15.1


def base(mesh):
    for name in ("bookinfo-gateway", "destination-rule-all", "virtual-service-all-v1"):
        mesh.apply(f"networking/{name}.yaml")
    eventually(lambda: mesh.get("/productpage").status == 200 and {mesh.reviews_version() for _ in range(5)} == {"v1"}, timeout=20)


def count(mesh, n):
    return collections.Counter(mesh.reviews_version() for _ in range(n))


def chi_square(counts, weights):
    n = sum(counts.values())
    return sum((counts.get(v, 0) - n * w) ** 2 / (n * w) for v, w in weights.items())


def test_all_to_v1_then_one_user_to_v2(mesh):
    base(mesh)
    assert count(mesh, 30) == {"v1": 30}
    assert "class=\"stars\"" not in mesh.get("/productpage").body
    mesh.apply("networking/virtual-service-reviews-test-v2.yaml")
    eventually(lambda: mesh.reviews_version("jason") == "v2", timeout=20)
    for _ in range(10):
        assert mesh.reviews_version("jason") == "v2"
        assert mesh.reviews_version("somebody") == "v1"
        assert mesh.reviews_version() == "v1"
    page = mesh.get("/productpage", headers={"end-user": "jason"})
    assert page.status == 200 and "color:black" in page.body


def test_weights_within_statistics(mesh):
    base(mesh)
    for name, weights in (("90-10", {"v1": 0.9, "v3": 0.1}), ("50-50", {"v1": 0.5, "v3": 0.5})):
        mesh.apply(f"networking/virtual-service-reviews-{name}.yaml")
        eventually(lambda: "v3" in count(mesh, 40), timeout=20)
        time.sleep(0.3)
        counts = count(mesh, 300)
        assert set(counts) <= set(weights), counts
        assert chi_square(counts, weights) < CHI_SQUARE_BOUND, (name, counts)
    mesh.apply("networking/virtual-service-reviews-v3.yaml")
    eventually(lambda: set(count(mesh, 10)) == {"v3"}, timeout=20)
    assert count(mesh, 100) == {"v3": 100}
    assert "color:red" in mesh.get("/productpage").body


def test_no_failed_request_while_weights_change(mesh):
    base(mesh)
    done, results = threading.Event(), []

    def load():
        while not done.is_set():
            results.append(request(mesh.ingress.address, 8080, "/productpage", host="x"))

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            for name in ("reviews-90-10", "reviews-50-50", "reviews-v3", "reviews-v2", "all-v1"):
                mesh.lab.apply(f"networking/virtual-service-{name}.yaml")
                time.sleep(0.3)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    bad = [r for r in results if r.status != 200 or "Error fetching" in r.body or "class=\"version\"" not in r.body]
    assert len(results) > 100 and not bad, (len(results), len(bad), bad[:3])
    assert len({v for v in ("v1", "v2", "v3") if any(f"class=\"version\">{v}<" in r.body for r in results)}) == 3
