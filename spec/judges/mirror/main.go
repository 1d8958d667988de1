// Feeds a mirror of ours as its specification has it, c2sp.org/tlog-mirror, and reads what it then serves, with packages of others:
// the log is that of golang.org/x/mod, the reader of tiles and entries filippo.io/torchwood, the cosignatures are verified by
// torchwood (Ed25519) and github.com/transparency-dev/formats (ML-DSA-44). The proofs of subtrees are the recursion of
// draft-ietf-plants-merkle-tree-certs, written down here once more.
//
//	go run . TPW
//
// It starts TPW, adds up what holds, and closes with a line `N passed, N failed`.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/bits"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"filippo.io/torchwood"
	formats "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const origin = "log.example/of-others"

var passed, failed int

func that(what string, holds bool) {
	if holds {
		passed++
		return
	}
	failed++
	fmt.Println("FAILED:", what)
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Println("cannot go on:", err)
		os.Exit(1)
	}
	return value
}

// A log in memory.
type memory struct {
	entries [][]byte
	hashes  []tlog.Hash
}

func (m *memory) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, index := range indexes {
		found = append(found, m.hashes[index])
	}
	return found, nil
}

func (m *memory) grow(size int) {
	for number := len(m.entries); number < size; number++ {
		entry := bytes.Repeat([]byte{byte(number)}, number%50)
		hashes := must(tlog.StoredHashes(int64(number), entry, m))
		m.entries, m.hashes = append(m.entries, entry), append(m.hashes, hashes...)
	}
}

// root is MTH(D[start:end]) of RFC 6962.
func (m *memory) root(start, end int) tlog.Hash {
	if end-start == 1 {
		return tlog.RecordHash(m.entries[start])
	}
	middle := start + split(end-start)
	return tlog.NodeHash(m.root(start, middle), m.root(middle, end))
}

// split is the largest power of two smaller than n.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// subproof is SUBTREE_SUBPROOF(start, end, D[low:high], whole) of the draft.
func (m *memory) subproof(start, end, low, high int, whole bool) []tlog.Hash {
	if start == low && end == high {
		if whole {
			return nil
		}
		return []tlog.Hash{m.root(low, high)}
	}
	middle := low + split(high-low)
	switch {
	case end <= middle:
		return append(m.subproof(start, end, low, middle, whole), m.root(middle, high))
	case middle <= start:
		return append(m.subproof(start, end, middle, high, whole), m.root(low, middle))
	default:
		return append(m.subproof(middle, end, middle, high, false), m.root(low, middle))
	}
}

func (m *memory) checkpoint(signer note.Signer, size int) []byte {
	root := must(tlog.TreeHash(int64(size), m))
	text := fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root[:]))
	return must(note.Sign(&note.Note{Text: text}, signer))
}

func (m *memory) addCheckpoint(signer note.Signer, old, size int) []byte {
	body := fmt.Sprintf("old %d\n", old)
	if old > 0 && old < size {
		for _, hash := range must(tlog.ProveTree(int64(size), int64(old), m)) {
			body += base64.StdEncoding.EncodeToString(hash[:]) + "\n"
		}
	}
	return append([]byte(body+"\n"), m.checkpoint(signer, size)...)
}

// addEntries is the body of an upload of at most `most` packages.
func (m *memory) addEntries(start, end int, ticket []byte, most int) []byte {
	var body []byte
	put := func(part []byte) {
		body = append(binary.BigEndian.AppendUint16(body, uint16(len(part))), part...)
	}
	put([]byte(origin))
	body = binary.BigEndian.AppendUint64(body, uint64(start))
	body = binary.BigEndian.AppendUint64(body, uint64(end))
	put(ticket)
	for first := start / 256 * 256; first < end && most > 0; first += 256 {
		last := min(end, first+256)
		for _, entry := range m.entries[max(start, first):last] {
			put(entry)
		}
		proof := m.subproof(first, last, 0, end, true)
		body = append(body, byte(len(proof)))
		for _, hash := range proof {
			body = append(body, hash[:]...)
		}
		most--
	}
	return body
}

// A mirror as a process of its own.
type mirror struct {
	url    string
	client *http.Client
	keys   []string
	stop   func()
}

func start(tpw, folder, policy string) *mirror {
	command := exec.Command(tpw, "log", "mirror", "serve", "--json", "--data", filepath.Join(folder, "mirror"),
		"--name", "mirror.example/judged", "--policy", policy, "--listen", "127.0.0.1:0")
	out := must(command.StdoutPipe())
	must(0, command.Start())
	var told struct {
		URL  string   `json:"url"`
		Keys []string `json:"keys"`
		CA   string   `json:"development_certificate"`
	}
	lines := bufio.NewScanner(out)
	for told.Keys == nil && lines.Scan() {
		_ = json.Unmarshal(lines.Bytes(), &told)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(must(os.ReadFile(told.CA)))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	stop := func() { _ = command.Process.Kill(); _ = command.Wait() }
	return &mirror{told.URL, &http.Client{Transport: transport}, told.Keys, stop}
}

func (m *mirror) post(path, encoding string, body []byte) (int, string, []byte) {
	request := must(http.NewRequest("POST", m.url+path, bytes.NewReader(body)))
	request.Header.Set("Content-Type", "application/octet-stream")
	if encoding != "" {
		request.Header.Set("Content-Encoding", encoding)
	}
	answer := must(m.client.Do(request))
	defer answer.Body.Close()
	return answer.StatusCode, answer.Header.Get("Content-Type"), must(io.ReadAll(answer.Body))
}

func packed(body []byte) []byte {
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	must(writer.Write(body))
	must(0, writer.Close())
	return out.Bytes()
}

// verifiers are those of the mirror's two keys, each by a package that knows its type.
func verifiers(keys []string) []note.Verifier {
	ed25519 := must(torchwood.NewCosignatureVerifier(keys[0]))
	mldsa := must(formats.NewMLDSAVerifier(keys[1]))
	return []note.Verifier{ed25519, mldsa}
}

// reads audits what the mirror serves: every signature, every entry against the root.
func (m *mirror) reads(log *memory, logKey note.Verifier, size int) {
	hash := sha256.Sum256([]byte(origin))
	prefix := m.url + "/" + hex.EncodeToString(hash[:])
	fetcher := must(torchwood.NewTileFetcher(prefix, torchwood.WithHTTPClient(m.client)))
	signed := must(fetcher.ReadEndpoint(context.Background(), "checkpoint"))
	for _, verifier := range append(verifiers(m.keys), logKey) {
		_, err := note.Open(signed, note.VerifierList(verifier))
		that(fmt.Sprintf("size %d: the line of %s (%08x): %v", size, verifier.Name(), verifier.KeyHash(), err), err == nil)
	}
	opened := must(note.Open(signed, note.VerifierList(logKey)))
	checkpoint := must(torchwood.ParseCheckpoint(opened.Text))
	that(fmt.Sprintf("size %d: not %d", size, checkpoint.N), checkpoint.N == int64(size))
	client := must(torchwood.NewClient(fetcher))
	count := 0
	for index, entry := range client.AllEntries(context.Background(), checkpoint.Tree, 0) {
		if !bytes.Equal(entry, log.entries[index]) {
			break
		}
		count++
	}
	that(fmt.Sprintf("size %d: %d entries: %v", size, count, client.Err()), client.Err() == nil && count == size)
}

// feeds brings the mirror, which knows the checkpoint of size `shown` and has `next` entries, to another size, in requests of so many
// packages.
func (m *mirror) feeds(log *memory, signer note.Signer, shown, next, size, most int) {
	log.grow(size)
	status, _, said := m.post("/add-checkpoint", "", log.addCheckpoint(signer, shown, size))
	that(fmt.Sprintf("add-checkpoint %d: %d %s", size, status, said), status == 200 && len(said) == 0)
	ticket := []byte(nil)
	for {
		status, kind, said := m.post("/add-entries", "gzip", packed(log.addEntries(next, size, ticket, most)))
		if status == 202 {
			lines := strings.Split(string(said), "\n")
			that("202 has its type and its form", kind == "text/x.tlog.mirror-info" && len(lines) == 4)
			before := next
			must(fmt.Sscan(lines[1], &next))
			ticket = must(base64.StdEncoding.DecodeString(lines[2]))
			that("the upload comes forward", next > before && lines[0] == fmt.Sprint(size))
			continue
		}
		that(fmt.Sprintf("add-entries up to %d: %d %s", size, status, said), status == 200)
		signed := append(log.checkpoint(signer, size), said...)
		for _, verifier := range verifiers(m.keys) {
			_, err := note.Open(signed, note.VerifierList(verifier))
			that(fmt.Sprintf("size %d: the answer of %08x: %v", size, verifier.KeyHash(), err), err == nil)
		}
		return
	}
}

func main() {
	folder := must(os.MkdirTemp("", "judge-mirror"))
	defer os.RemoveAll(folder)
	private, public, err := note.GenerateKey(rand.Reader, origin)
	must(0, err)
	signer, logKey := must(note.NewSigner(private)), must(note.NewVerifier(public))
	policy := filepath.Join(folder, "policy")
	must(0, os.WriteFile(policy, []byte("log "+public+"\nquorum none\n"), 0o600))
	ours := start(os.Args[1], folder, policy)
	defer ours.stop()
	log := &memory{}
	old := 0
	for _, step := range []struct{ size, most int }{{1, 9}, {256, 9}, {300, 9}, {1111, 1}, {1536, 2}, {1537, 9}} {
		ours.feeds(log, signer, old, old, step.size, step.most)
		ours.reads(log, logKey, step.size)
		old = step.size
	}
	// An entry, a proof or a length changed: nothing of it is taken.
	log.grow(1800)
	status, _, _ := ours.post("/add-checkpoint", "", log.addCheckpoint(signer, old, 1800))
	that("add-checkpoint 1800", status == 200)
	body := log.addEntries(old, 1800, nil, 1)
	head := 2 + len(origin) + 16 + 2
	for place := head; place < len(body); place += 97 {
		bad := bytes.Clone(body)
		bad[place] ^= 1
		status, _, _ = ours.post("/add-entries", "", bad)
		that(fmt.Sprintf("byte %d changed: %d", place, status), status == 400 || status == 422)
	}
	ours.reads(log, logKey, old)
	ours.feeds(log, signer, 1800, old, 1800, 9)
	ours.reads(log, logKey, 1800)
	fmt.Printf("%d passed, %d failed\n", passed, failed)
}
