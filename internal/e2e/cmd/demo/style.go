package main

import (
	"os"
	"strings"

	"golang.org/x/term"
)

var coloured = term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == ""

func paint(code, text string) string {
	if !coloured {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func bold(text string) string  { return paint("1", text) }
func dim(text string) string   { return paint("2", text) }
func green(text string) string { return paint("32", text) }
func red(text string) string   { return paint("31", text) }

// frame sets a command's output apart from the story.
func frame(command string, lines []string) string {
	out := []string{dim("    ┌ $ " + command)}
	for _, line := range lines {
		switch strings.TrimSpace(line)[:min(1, len(strings.TrimSpace(line)))] {
		case "+":
			line = green(line)
		case "~":
			line = paint("33", line)
		case "-":
			line = red(line)
		}
		out = append(out, dim("    │ ")+line)
	}
	return strings.Join(append(out, dim("    └")), "\n")
}

// essential drops what the CLI says around a plan.
func essential(plan string) []string {
	var lines []string
	for line := range strings.SplitSeq(plan, "\n") {
		switch {
		case strings.Contains(line, "Refreshing state"), strings.Contains(line, "Reading..."),
			strings.HasPrefix(line, "Terraform used the selected"), strings.HasPrefix(line, "OpenTofu used the selected"),
			strings.HasPrefix(line, "plan. Resource actions"), strings.HasPrefix(line, "following symbols:"),
			strings.HasPrefix(line, "plan. The following"), strings.HasPrefix(line, "indicated with"),
			strings.HasPrefix(line, "Saved the plan to"), strings.HasPrefix(line, "Terraform will perform"),
			strings.HasPrefix(line, "OpenTofu will perform"), strings.HasPrefix(line, "─"),
			strings.HasPrefix(line, "Note: Objects have changed"), strings.HasPrefix(line, "To perform exactly"),
			strings.Contains(line, "apply \"plan.bin\""), strings.TrimSpace(line) == "", strings.HasPrefix(line, "Changes to Outputs"),
			strings.Contains(line, "docker_config_json = (sensitive"), line == "  ~ update in-place", line == "  + create":
			continue
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}
