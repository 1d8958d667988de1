// Checks a log of ours with the packages that the Go command checks its own log with: golang.org/x/mod/sumdb/note and tlog.
//
//	go run . VERIFIER-KEY FOLDER...
//
// Each folder holds the loose files of an exported receipt. One line for each: what holds, or what does not.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	verifier, err := note.NewVerifier(os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for _, folder := range os.Args[2:] {
		said, err := judge(verifier, folder)
		if err != nil {
			said = "refused: " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Printf("%s\t%s\n", folder, said)
	}
}

func judge(verifier note.Verifier, folder string) (string, error) {
	checkpoint, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		return "", err
	}
	opened, err := note.Open(checkpoint, note.VerifierList(verifier))
	if err != nil {
		return "", err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return "", fmt.Errorf("another origin or form")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return "", err
	}
	root, err := hash(lines[2])
	if err != nil {
		return "", err
	}
	leaf, err := os.ReadFile(filepath.Join(folder, "leaf.bin"))
	if err != nil {
		return "", err
	}
	index, path, err := inclusion(filepath.Join(folder, "proof.tlog-proof"), checkpoint)
	if err != nil {
		return "", err
	}
	if err := tlog.CheckRecord(path, size, root, index, tlog.RecordHash(leaf)); err != nil {
		return "", err
	}
	return fmt.Sprintf("holds %d of %d", index, size), nil
}

// inclusion reads a c2sp.org/tlog-proof@v1 over this checkpoint.
func inclusion(path string, checkpoint []byte) (int64, tlog.RecordProof, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, nil, err
	}
	head, rest, found := bytes.Cut(text, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !found || !bytes.Equal(rest, checkpoint) || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return 0, nil, fmt.Errorf("no proof over this checkpoint")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return 0, nil, err
	}
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		node, err := hash(line)
		if err != nil {
			return 0, nil, err
		}
		proof = append(proof, node)
	}
	return index, proof, nil
}

func hash(text string) (tlog.Hash, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != sha256.Size {
		return tlog.Hash{}, fmt.Errorf("no hash: %q", text)
	}
	return tlog.Hash(*(*[32]byte)(raw)), nil
}
