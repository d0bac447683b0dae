package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"overlayd/internal/control"
	"overlayd/internal/vault"
)

func newRootKey(s *session) *cobra.Command {
	return group("root", "Keep the network's root key elsewhere than on this node", "export FILE, restore FILE or forget",
		newRootExport(s), newRootRestore(s), newRootForget(s))
}

func passphraseFlag(cmd *cobra.Command, p *passphrase) *cobra.Command {
	cmd.Flags().StringVar(&p.file, "passphrase-file", "", "`file` that holds the passphrase, - for standard input "+
		"(default: ask on the terminal)")
	return cmd
}

func newRootExport(s *session) *cobra.Command {
	p := passphrase{stdin: s.stdin, terminal: openTerminal}
	return passphraseFlag(&cobra.Command{
		Use:   "export FILE",
		Short: "Write the root key to a new file, sealed under a passphrase",
		Args:  args(1, 1, "one file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, path := cmd.Context(), args[0]
			if err := absent(path); err != nil {
				return err
			}
			status, err := s.client.Status(ctx)
			if err != nil {
				return err
			}
			if !status.Root {
				return fmt.Errorf("%w, which is not on %s: export it on the node that holds it", control.ErrNotRoot, status.Node)
			}
			words, err := p.chosen(ctx)
			if err != nil {
				return err
			}
			defer clear(words)
			seed, err := s.client.ExportRoot(ctx)
			if err != nil {
				return err
			}
			defer clear(seed)
			if len(seed) != vault.SeedLen {
				return fmt.Errorf("overlayd answered with %d bytes as the root key: use an overlayctl of its version", len(seed))
			}
			network := vault.Network{Name: status.Network, ID: status.NetworkID}
			text, err := vault.Seal([vault.SeedLen]byte(seed), words, network, rand.Reader)
			if err != nil {
				return err
			}
			if err := writeNew(path, text); err != nil {
				return err
			}
			return s.done(fmt.Sprintf("the root key of %s is in %s, sealed under the passphrase: keep both, apart and off this host; "+
				"`overlayctl root forget` then removes the key from %s", status.Network, path, status.Node), nil)
		},
	}, &p)
}

func newRootRestore(s *session) *cobra.Command {
	p := passphrase{stdin: s.stdin, terminal: openTerminal}
	return passphraseFlag(&cobra.Command{
		Use:   "restore FILE",
		Short: "Give this node the root key that a file holds",
		Args:  args(1, 1, "one file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, path := cmd.Context(), args[0]
			file, err := readVault(path)
			if err != nil {
				return err
			}
			status, err := s.client.Status(ctx)
			if err != nil {
				return err
			}
			if file.Network.ID != status.NetworkID {
				return fmt.Errorf("%s holds the root key of another network, %s (%s): %s is in %s (%s)", path,
					file.Network.Name, file.Network.ID, status.Node, status.Network, status.NetworkID)
			}
			words, err := p.known(ctx)
			if err != nil {
				return err
			}
			defer clear(words)
			seed, err := file.Open(words)
			if err != nil {
				return fmt.Errorf("%w for %s: try another, or another copy of the file", err, path)
			}
			defer clear(seed[:])
			if err := s.client.RestoreRoot(ctx, seed[:]); err != nil {
				return err
			}
			return s.done(fmt.Sprintf("%s holds the root key of %s: when you are done, `overlayctl root forget` removes it again",
				status.Node, status.Network), nil)
		},
	}, &p)
}

func newRootForget(s *session) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "forget",
		Short: "Remove the root key from this node",
		Args:  args(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.client.ForgetRoot(cmd.Context(), force); err != nil {
				return err
			}
			return s.done("the root key is gone from this node, which remains a member as it is: "+
				"`overlayctl root restore FILE` brings the key back to make an admin or to reinstate a node", nil)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "even if the key was not exported: without any copy the network never has another admin")
	return cmd
}

// absent fails if something has that name.
func absent(path string) error {
	switch _, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	default:
		return fmt.Errorf("%s exists and is not overwritten: name a new file", path)
	}
}

// writeNew writes a file for its owner only, whole or not at all.
func writeNew(path string, text []byte) error {
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = f.Cleanup() }()
	if _, err := f.Write(text); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	// somebody may have made it while the passphrase was typed
	if err := absent(path); err != nil {
		return err
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func readVault(path string) (vault.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return vault.File{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, vault.MaxLen+1))
	if err != nil {
		return vault.File{}, err
	}
	file, err := vault.Parse(text)
	switch {
	case errors.Is(err, vault.ErrNotVault):
		return file, fmt.Errorf("%w in %s: name a file that `overlayctl root export` wrote", err, path)
	case err != nil:
		return file, fmt.Errorf("%s: %w: take another copy of it", path, err)
	}
	return file, nil
}
