//go:build unix

package pgserver

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Control is what the control file of a server that does not run says.
type Control struct {
	// Timeline is that of the last checkpoint. The first is 1.
	Timeline int
	// Standby says that the server replayed another one's log when it ended.
	Standby bool
}

// ReadControl reads the control file in a folder of data.
func ReadControl(ctx context.Context, data string) (Control, error) {
	programs, err := Programs(ctx, data, "pg_controldata")
	if err != nil {
		return Control{}, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "pg_controldata"), "-D", data)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		return Control{}, fmt.Errorf("pg_controldata: %w", err)
	}
	var c Control
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		switch value = strings.TrimSpace(value); name {
		case "Database cluster state":
			c.Standby = strings.Contains(value, "recovery")
		case "Latest checkpoint's TimeLineID":
			if c.Timeline, err = strconv.Atoi(value); err != nil {
				return c, fmt.Errorf("pg_controldata: %w", err)
			}
		}
	}
	return c, nil
}
