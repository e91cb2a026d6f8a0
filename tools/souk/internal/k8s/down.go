package k8s

import (
	"context"
	"errors"
	"fmt"
	"io"
)

const downHelp = `usage: souk k8s down [flags]

Uninstalls the shop. Its databases' volumes and the secrets that open them stay,
and the next install goes on with them, unless --data deletes them.

`

func down(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c cluster
	f := c.flags("down", downHelp, stderr)
	data := f.Bool("data", false, "delete the volumes and secrets, too: the shop's orders are gone then")
	kind := f.Bool("kind", false, "delete the kind cluster that `souk k8s up` made, with all that is in it")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 0 {
		f.Usage()
		return errors.New("down takes no arguments")
	}
	if *kind {
		if err := need("kind"); err != nil {
			return err
		}
		_, err := c.run(ctx, nil, "kind", "delete", "cluster", "--name", kindCluster)
		return err
	}
	if err := c.choose(ctx); err != nil {
		return err
	}
	if _, err := c.helm(ctx, "uninstall", c.release, "--ignore-not-found", "--wait"); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s is uninstalled\n", c.release)
	if !*data {
		return nil
	}
	// All of them have the release's labels.
	_, err := c.kubectl(ctx, "delete", "persistentvolumeclaims,secrets", "--selector", c.selector(""), "--ignore-not-found")
	if err == nil {
		fmt.Fprintln(stdout, "its volumes and secrets are deleted")
	}
	return err
}
