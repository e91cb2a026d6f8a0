package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// untar is `tar -C DIRECTORY -x -f -`. A file is replaced atomically: a reader
// sees the old one or the new one.
func untar(args []string, in io.Reader) error {
	dir, err := extraction(args)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	archive := tar.NewReader(in)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(header.Name, "/")
		switch header.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, 0o755)
		case tar.TypeReg:
			err = place(root, name, header.FileInfo().Mode().Perm(), archive)
		default:
			err = errors.New("neither a file nor a folder")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
	}
}

// extraction returns the directory that tar's arguments name.
func extraction(args []string) (dir string, err error) {
	dir = "."
	extract, stdin := false, false
	for len(args) > 0 {
		letters, ok := strings.CutPrefix(args[0], "-")
		args = args[1:]
		if !ok || letters == "" {
			return "", errors.New("only all of an archive")
		}
		for i, letter := range letters {
			switch letter {
			case 'x':
				extract = true
			case 'm', 'p', 'v', 'o': // times, modes, names, owners: as they come
			case 'C', 'f':
				if i != len(letters)-1 || len(args) == 0 {
					return "", fmt.Errorf("-%c wants a value of its own", letter)
				}
				if letter == 'C' {
					dir = args[0]
				} else {
					stdin = args[0] == "-"
				}
				args = args[1:]
			default:
				return "", fmt.Errorf("no option -%c", letter)
			}
		}
	}
	if !extract || !stdin {
		return "", errors.New("only -x -f -")
	}
	return dir, nil
}

func place(root *os.Root, name string, mode os.FileMode, content io.Reader) (err error) {
	dir := filepath.Dir(name)
	if err := root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	part := filepath.Join(dir, "."+filepath.Base(name)+".part")
	f, err := root.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = root.Remove(part)
		}
	}()
	_, err = io.Copy(f, content)
	if err = errors.Join(err, f.Chmod(mode), f.Close()); err != nil {
		return err
	}
	return root.Rename(part, name)
}

// remove is `rm -rf PATH...`.
func remove(args []string) error {
	if len(args) == 0 || args[0] != "-rf" {
		return errors.New("only -rf")
	}
	var errs []error
	for _, path := range args[1:] {
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}
