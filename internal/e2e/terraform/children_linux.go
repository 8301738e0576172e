package terraform

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Child is a process that a CLI has started: a provider.
type Child struct {
	PID int
	// Program is the name of its binary.
	Program string
}

// Children lists the CLI's own processes, as they are now.
func (r *Running) Children() []Child {
	// The kernel lists them by the thread that started each.
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", r.cmd.Process.Pid))
	var children []Child
	for _, list := range lists {
		text, err := os.ReadFile(list) //nolint:gosec // a process id
		if err != nil {
			continue
		}
		for field := range strings.FieldsSeq(string(text)) {
			pid, _ := strconv.Atoi(field)
			if exe, err := os.Readlink(filepath.Join("/proc", field, "exe")); err == nil {
				children = append(children, Child{PID: pid, Program: filepath.Base(exe)})
			}
		}
	}
	return children
}
