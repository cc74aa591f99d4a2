# Shared by make-root and make-cluster.

# The folder to write to, made if need be: never inside a git working tree, so that no key is ever committed.
out_dir() {
    [ -n "$1" ] || { echo "certs: CERTS_DIR=folder is missing" >&2; exit 2; }
    mkdir -p "$1"
    dir=$(cd "$1" && pwd -P)
    if git -C "$dir" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        echo "certs: $dir is inside a git working tree: private keys do not belong there" >&2
        exit 2
    fi
    echo "$dir"
}

new_key() {
    case ${KEY:-P-256} in
    P-256 | P-384) openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:${KEY:-P-256}" -out "$1" 2>/dev/null ;;
    rsa:2048 | rsa:3072 | rsa:4096) openssl genpkey -algorithm RSA -pkeyopt "rsa_keygen_bits:${KEY#rsa:}" -out "$1" 2>/dev/null ;;
    *) echo "certs: KEY=$KEY is not P-256, P-384, rsa:2048, rsa:3072 or rsa:4096" >&2; exit 2 ;;
    esac
}
