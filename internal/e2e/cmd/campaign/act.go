//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// apply is a plain apply with some more arguments.
func (w *walk) apply(d disturbance, more ...string) command {
	return command{args: append([]string{"apply", "-auto-approve", "-input=false", "-no-color"}, more...), disturbance: d}
}

func (w *walk) destroy(d disturbance) command {
	return command{args: []string{"destroy", "-auto-approve", "-input=false", "-no-color"}, destroys: true, disturbance: d}
}

// act chooses a command. What needs an object and finds none is an apply.
func (w *walk) act(ctx context.Context, r *rand.Rand) error {
	choice := r.IntN(20)
	before, err := w.look()
	if err != nil {
		return err
	}
	if before.current() == nil {
		choice = 0
	}
	d := newDisturbance(r, routesOf(before.current() == nil, choice == 17), w.config.ciVariables || before.publishes())
	switch choice {
	case 6, 7, 8:
		return w.applySavedPlan(ctx, r, d)
	case 9, 10:
		c := w.apply(d, "-refresh=false")
		c.stale = true
		_, err = w.runCommand(ctx, c)
		return err
	case 11:
		c := w.apply(d, "-refresh-only")
		if chance(r, 2) {
			c.args = []string{"plan", "-refresh-only", "-input=false", "-no-color"}
		}
		c.reads = true
		_, err = w.runCommand(ctx, c)
		return err
	case 12, 13:
		c := w.apply(d, "-replace="+address)
		c.replaces = true
		_, err = w.runCommand(ctx, c)
		return err
	case 14:
		return w.taint(ctx, d)
	case 15, 16:
		return w.forget(ctx, r, before, d)
	case 17:
		_, err = w.runCommand(ctx, w.destroy(d))
		return err
	case 18, 19:
		return w.loseSave(ctx, r, d)
	default:
		_, err = w.runCommand(ctx, w.apply(d))
		return err
	}
}

// applySavedPlan plans, lets things happen, and applies what was planned.
func (w *walk) applySavedPlan(ctx context.Context, r *rand.Rand, d disturbance) error {
	plan := command{args: []string{"plan", "-out=plan.bin", "-input=false", "-no-color"}, reads: true}
	res, err := w.runCommand(ctx, plan)
	if err != nil || res.failed {
		return err
	}
	if _, err = w.runCommand(ctx, command{args: []string{"show", "-no-color", "plan.bin"}, reads: true}); err != nil {
		return err
	}
	happens := r.IntN(3)
	for range happens {
		if err = w.happen(r); err != nil {
			return err
		}
	}
	_, err = w.runCommand(ctx, command{args: []string{"apply", "-input=false", "-no-color", "plan.bin"}, stale: happens > 0, disturbance: d})
	return err
}

func (w *walk) taint(ctx context.Context, d disturbance) error {
	if _, err := w.runCommand(ctx, command{args: []string{"taint", address}, reads: true}); err != nil {
		return err
	}
	_, err := w.runCommand(ctx, w.apply(d))
	return err
}

// forget takes the access out of the state, and takes it back: by an import of the
// state's own token, or by a new creation.
func (w *walk) forget(ctx context.Context, r *rand.Rand, before snapshot, d disturbance) error {
	imports := chance(r, 2)
	if _, err := w.runCommand(ctx, command{args: []string{"state", "rm", address}, reads: true}); err != nil {
		return err
	}
	for _, id := range append(before.current().retired(), before.current().TokenID) {
		w.forgotten[id] = true
	}
	if err := w.abandonUnaccounted(); err != nil {
		return err
	}
	if id := before.current().TokenID; imports && id != 0 {
		// A killed import leaves nothing, so only faults are of interest.
		c := command{
			args:  []string{"import", "-input=false", "-no-color", address, fmt.Sprintf("%d:%d", w.project.ID, id)},
			reads: true, mayFail: true, disturbance: disturbance{faults: d.faults},
		}
		if _, err := w.runCommand(ctx, c); err != nil {
			return err
		}
		d.faults = nil
	}
	_, err := w.runCommand(ctx, w.apply(d))
	return err
}

// loseSave applies, and the state of that is never seen again.
func (w *walk) loseSave(ctx context.Context, r *rand.Rand, d disturbance) error {
	older, err := readState(w.stateFile())
	if err != nil {
		return err
	}
	c := w.apply(d)
	switch r.IntN(5) {
	case 0:
		c = w.destroy(d)
	case 1:
		c = w.apply(d, "-replace="+address)
		c.replaces = true
	}
	if _, err := w.runCommand(ctx, c); err != nil {
		return err
	}
	return w.loseState(older)
}

// accounted reports whether somebody who reads state and configuration finds the
// token: the state holds it, or has its username, so that the next plan lists it.
func (w *walk) accounted(s snapshot, id int64) bool {
	if s.held(id) {
		return true
	}
	username := s.tokens[id].Username
	for _, o := range s.objects {
		if o.Username == username {
			return true
		}
	}
	// A username that the user chose is in the configuration before it is in the state.
	return w.config.username == username
}
