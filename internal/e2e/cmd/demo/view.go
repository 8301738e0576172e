package main

import (
	"regexp"
	"slices"
	"strings"
)

// view is what a plan is shown with.
type view struct {
	// attributes are those that are shown, if the plan changes them.
	attributes []string
	// details shows what warnings say, not only their titles.
	details bool
}

var (
	objectLine    = regexp.MustCompile(`^  # (\S+) (.*)$`)
	attributeLine = regexp.MustCompile(`^      [~+-] (\w+) +=`)
	// placeLine is where in the configuration a warning belongs.
	placeLine = regexp.MustCompile(`^  (with|on) .*[,:]$|^ +\d+: `)
)

// of takes what matters out of a plan.
func (v view) of(plan string) []string {
	var lines []string
	text := strings.Split(plan, "\n")
	hidden, inWarning := true, false
	for i := 0; i < len(text); i++ {
		line := strings.TrimRight(text[i], " ")
		if object := objectLine.FindStringSubmatch(line); object != nil {
			lines = append(lines, "# "+object[1]+" "+object[2])
			hidden, inWarning = false, false
			continue
		}
		switch attribute := attributeLine.FindStringSubmatch(line); {
		case attribute != nil && !hidden && slices.Contains(v.attributes, attribute[1]):
			end := endOfAttribute(text, i)
			for ; i <= end; i++ {
				lines = append(lines, brief(strings.TrimPrefix(strings.TrimRight(text[i], " "), "    ")))
			}
			i--
		case strings.HasPrefix(line, "Plan: "), strings.HasPrefix(line, "No changes."):
			lines, hidden = append(lines, line), true
		case strings.HasPrefix(line, "Warning: "):
			lines, inWarning = append(lines, line), true
		case strings.HasPrefix(line, "─"):
			inWarning, hidden = false, true
		case inWarning && v.details && line != "" && !placeLine.MatchString(line):
			lines = append(lines, "  "+line)
		}
	}
	return lines
}

// endOfAttribute is the last line of an attribute that begins on this one.
func endOfAttribute(text []string, from int) int {
	last := strings.TrimSuffix(strings.TrimRight(text[from], " "), " -> (known after apply)")
	if !strings.HasSuffix(last, "[") && !strings.HasSuffix(last, "{") {
		return from
	}
	for i := from + 1; i < len(text); i++ {
		if strings.HasPrefix(text[i], "        ]") || strings.HasPrefix(text[i], "        }") {
			return i
		}
	}
	return from
}

var oldText = regexp.MustCompile(`"([^"]{12})[^"]*" -> `)

const widest = 100

var alignment = regexp.MustCompile(`^(  [~+-] \w+) += `)

// brief shortens what was, so that what will be can be seen. The names of attributes that
// are not shown align nothing.
func brief(line string) string {
	line = alignment.ReplaceAllString(line, "$1 = ")
	if len(line) <= widest {
		return line
	}
	return oldText.ReplaceAllString(line, `"$1..." -> `)
}
