package main

import (
	"fmt"
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

func bold(text string) string   { return paint("1", text) }
func dim(text string) string    { return paint("2", text) }
func green(text string) string  { return paint("32", text) }
func yellow(text string) string { return paint("33", text) }
func red(text string) string    { return paint("31", text) }

// show prints a file or a command's output, set apart from the story.
func show(title string, lines []string) {
	fmt.Println(dim("    ┌ " + title))
	for _, line := range lines {
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(trimmed, "+"):
			line = green(line)
		case strings.HasPrefix(trimmed, "~"), strings.HasPrefix(trimmed, "Warning:"):
			line = yellow(line)
		case strings.HasPrefix(trimmed, "-"):
			line = red(line)
		}
		fmt.Println(strings.TrimRight(dim("    │ ")+line, " "))
	}
	fmt.Println(dim("    └"))
}
