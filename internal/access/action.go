package access

// Action is what a plan does to the tokens of a resource, in one word of a closed list.
type Action string

// The actions. See Effect for what each does.
const (
	// ActionNone: nothing is due.
	ActionNone Action = "none"
	// ActionHold: GitLab names no registry, so everything is left as it is.
	ActionHold Action = "hold"
	// ActionMint: a token is required and there is none.
	ActionMint Action = "mint"
	// ActionRotate: the current token is inside its rotation window, or was minted with
	// other arguments than the configuration has now.
	ActionRotate Action = "rotate"
	// ActionTakeOver: the current token was imported, so its secret is not known.
	ActionTakeOver Action = "take_over"
	// ActionReplace: the current token no longer works.
	ActionReplace Action = "replace"
	// ActionStartWindDown: no longer required; the token gets an end date.
	ActionStartWindDown Action = "start_wind_down"
	// ActionCancelWindDown: required again, or kept, before the end date.
	ActionCancelWindDown Action = "cancel_wind_down"
	// ActionWithdraw: images can be pulled without credentials from now on.
	ActionWithdraw Action = "withdraw"
	// ActionEnd: the wind-down is over.
	ActionEnd Action = "end"
	// ActionDrop: the current token no longer works, and none is required.
	ActionDrop Action = "drop"
	// ActionRevoke: retired tokens are due, and nothing else happens.
	ActionRevoke Action = "revoke"
	// ActionRetireOrphan: tokens of an interrupted apply are tracked from now on.
	ActionRetireOrphan Action = "retire_orphan"
	// ActionPublish: the credentials of the current token go into CI/CD variables, for the
	// first time or because the variables have changed.
	ActionPublish Action = "publish"
	// ActionUnpublish: the CI/CD variables are removed; the current token stays.
	ActionUnpublish Action = "unpublish"
	// ActionSeal: the credentials must be sealed in another way. That needs a new secret,
	// because nobody but the recipients can open what is sealed, and a state that held a
	// secret in the clear has older versions that still do.
	ActionSeal Action = "seal"
)

// Actions lists every action.
func Actions() []Action {
	return []Action{
		ActionNone, ActionHold, ActionMint, ActionRotate, ActionTakeOver, ActionReplace, ActionStartWindDown,
		ActionCancelWindDown, ActionWithdraw, ActionEnd, ActionDrop, ActionRevoke, ActionRetireOrphan,
		ActionPublish, ActionUnpublish, ActionSeal,
	}
}

// CurrentEffect is what becomes of the current token.
type CurrentEffect int

// The effects on a current token.
const (
	// CurrentStays: it remains the current token, if there is one.
	CurrentStays CurrentEffect = iota
	// CurrentRetires: it stays valid for the overlap. One that somebody revoked in GitLab
	// leaves the record at once: its row is that person's audit trail.
	CurrentRetires
	// CurrentEnds: it is revoked in this apply.
	CurrentEnds
)

// EndDateEffect is what becomes of the end date of a wind-down.
type EndDateEffect int

// The effects on an end date.
const (
	EndDateStays EndDateEffect = iota
	// EndDateSet: the overlap counts from this apply.
	EndDateSet
	EndDateCleared
)

// Effect is what an action does.
type Effect struct {
	// Mints: a new token is minted, proven and published before anything else happens.
	Mints   bool
	Current CurrentEffect
	EndDate EndDateEffect
}

// Withdraws reports whether nothing is published afterwards.
func (e Effect) Withdraws() bool { return !e.Mints && e.Current != CurrentStays }

// Effect is the table of the actions.
func (a Action) Effect() Effect {
	switch a {
	case ActionNone, ActionHold, ActionRevoke, ActionRetireOrphan, ActionPublish, ActionUnpublish:
		return Effect{}
	case ActionMint:
		return Effect{Mints: true, EndDate: EndDateCleared}
	case ActionRotate, ActionTakeOver, ActionReplace, ActionSeal:
		return Effect{Mints: true, Current: CurrentRetires, EndDate: EndDateCleared}
	case ActionStartWindDown:
		return Effect{EndDate: EndDateSet}
	case ActionCancelWindDown:
		return Effect{EndDate: EndDateCleared}
	case ActionWithdraw, ActionDrop:
		return Effect{Current: CurrentRetires, EndDate: EndDateCleared}
	case ActionEnd:
		return Effect{Current: CurrentEnds}
	}
	return Effect{}
}
