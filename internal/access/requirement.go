package access

import (
	"fmt"
	"slices"
)

// Mode says who decides whether a project needs registry access.
type Mode string

// The modes.
const (
	// ModeAuto derives the requirement from the project's facts.
	ModeAuto Mode = "auto"
	// ModeAlways requires access also when Auto DevOps is off or the project is public.
	ModeAlways Mode = "always"
	// ModeNever requires no access.
	ModeNever Mode = "never"
)

// Visibility levels and registry access levels as GitLab spells them.
const (
	VisibilityPrivate  = "private"
	VisibilityInternal = "internal"
	VisibilityPublic   = "public"

	RegistryEnabled  = "enabled"
	RegistryPrivate  = "private"
	RegistryDisabled = "disabled"
)

// Visibilities lists the project visibility levels that GitLab knows.
func Visibilities() []string {
	return []string{VisibilityPrivate, VisibilityInternal, VisibilityPublic}
}

// RegistryAccessLevels lists the container registry access levels that GitLab knows.
func RegistryAccessLevels() []string {
	return []string{RegistryDisabled, RegistryPrivate, RegistryEnabled}
}

// Facts is what GitLab said about a project. An empty string or a nil pointer
// means that GitLab did not say, which is never the same as "no".
type Facts struct {
	Visibility          string
	RegistryAccessLevel string
	// AutoDevOps is the effective value, after inheritance. GitLab leaves the key
	// out for callers below the Maintainer role (lib/api/entities/project.rb).
	AutoDevOps *bool
	// ImagePrefix is "<registry host[:port]>/<lower-case project path>". GitLab
	// leaves the key out while the registry is off for the whole instance
	// (app/models/project.rb, container_registry_url).
	ImagePrefix       string
	Archived          bool
	DeletionScheduled bool
}

// Overrides are facts that the configuration states itself; nil means unset.
type Overrides struct {
	Visibility          *string
	RegistryAccessLevel *string
	AutoDevOps          *bool
}

// Any reports whether the configuration states any fact.
func (o Overrides) Any() bool {
	return o.Visibility != nil || o.RegistryAccessLevel != nil || o.AutoDevOps != nil
}

// Apply returns the effective facts: the override where there is one, else what GitLab said.
func (o Overrides) Apply(facts Facts) Facts {
	if o.Visibility != nil {
		facts.Visibility = *o.Visibility
	}
	if o.RegistryAccessLevel != nil {
		facts.RegistryAccessLevel = *o.RegistryAccessLevel
	}
	if o.AutoDevOps != nil {
		facts.AutoDevOps = o.AutoDevOps
	}
	return facts
}

// Reason is the stable code for why access is or is not required.
type Reason string

// The reasons, in the order in which Require tries them.
const (
	ReasonModeNever          Reason = "mode_never"
	ReasonRegistryDisabled   Reason = "registry_disabled"
	ReasonModeAlways         Reason = "mode_always"
	ReasonAnonymousPull      Reason = "anonymous_pull"
	ReasonAutoDevOpsDisabled Reason = "auto_devops_disabled"
	ReasonPrivate            Reason = "auto_devops_private"
	ReasonInternal           Reason = "auto_devops_internal"
	ReasonMembersOnly        Reason = "auto_devops_members_only"
)

// Reasons lists every reason, in the order in which Require tries them.
func Reasons() []Reason {
	return []Reason{
		ReasonModeNever, ReasonRegistryDisabled, ReasonModeAlways, ReasonAnonymousPull, ReasonAutoDevOpsDisabled,
		ReasonPrivate, ReasonInternal, ReasonMembersOnly,
	}
}

// Modes lists every mode.
func Modes() []Mode { return []Mode{ModeAuto, ModeAlways, ModeNever} }

// Explanation is the reason as one sentence, without names and dates.
func (r Reason) Explanation() string {
	switch r {
	case ReasonModeNever:
		return "The mode says that no token is wanted."
	case ReasonRegistryDisabled:
		return "The container registry is off."
	case ReasonModeAlways:
		return "The mode says that a token is wanted."
	case ReasonAnonymousPull:
		return "Anybody can pull the images."
	case ReasonAutoDevOpsDisabled:
		return "Auto DevOps is off for the project."
	case ReasonPrivate:
		return "Auto DevOps deploys a private project."
	case ReasonInternal:
		return "Auto DevOps deploys an internal project."
	case ReasonMembersOnly:
		return "Auto DevOps deploys; only members pull."
	}
	return ""
}

// Requirement is the decision whether a project needs registry access.
type Requirement struct {
	Required bool
	Reason   Reason
	// RegistryMissing: not required only because GitLab named no registry at all.
	// The instance may be in the middle of a change, so tokens are left alone.
	RegistryMissing bool
	// AnonymousPull: images can be pulled without credentials. A pull with dead
	// credentials is refused all the same.
	AnonymousPull bool
}

// RegistryMissingExplanation is the explanation where GitLab names no registry although
// the project's own level does not switch it off. GitLab before 13.10 never names one.
const RegistryMissingExplanation = "GitLab names no container registry."

// Explanation is the requirement as one sentence, without names and dates.
func (r Requirement) Explanation() string {
	if r.RegistryMissing {
		return RegistryMissingExplanation
	}
	return r.Reason.Explanation()
}

// UndecidableError says which fact is missing or not understood. It is never turned into "not required".
type UndecidableError struct {
	// Fact is the argument that could state the fact instead: visibility,
	// container_registry_access_level, auto_devops_enabled or mode.
	Fact string
	// Value is the word that was not understood; empty if GitLab did not say.
	Value string
}

func (e *UndecidableError) Error() string {
	if e.Value != "" {
		return fmt.Sprintf("%s has the unknown value %q", e.Fact, e.Value)
	}
	return fmt.Sprintf("GitLab did not say the project's %s", e.Fact)
}

// Require decides whether a project with these effective facts needs registry
// access. It is total: the answer is a requirement with a reason, or an
// *UndecidableError. The first row that holds decides.
func Require(mode Mode, facts Facts) (Requirement, error) {
	anonymous := facts.Visibility == VisibilityPublic && facts.RegistryAccessLevel == RegistryEnabled
	levelKnown := slices.Contains(RegistryAccessLevels(), facts.RegistryAccessLevel)
	registryMissing := levelKnown && facts.RegistryAccessLevel != RegistryDisabled && facts.ImagePrefix == ""

	decided := func(required bool, reason Reason) (Requirement, error) {
		return Requirement{
			Required:        required,
			Reason:          reason,
			RegistryMissing: reason == ReasonRegistryDisabled && registryMissing,
			AnonymousPull:   anonymous && !registryMissing,
		}, nil
	}

	if !slices.Contains(Modes(), mode) {
		return Requirement{}, &UndecidableError{Fact: "mode", Value: string(mode)}
	}

	switch {
	case mode == ModeNever:
		return decided(false, ReasonModeNever)
	case facts.RegistryAccessLevel == RegistryDisabled, registryMissing:
		return decided(false, ReasonRegistryDisabled)
	case mode == ModeAlways:
		return decided(true, ReasonModeAlways)
	case !slices.Contains(Visibilities(), facts.Visibility):
		return Requirement{}, &UndecidableError{Fact: "visibility", Value: facts.Visibility}
	case !levelKnown:
		return Requirement{}, &UndecidableError{Fact: "container_registry_access_level", Value: facts.RegistryAccessLevel}
	case anonymous:
		return decided(false, ReasonAnonymousPull)
	case facts.AutoDevOps == nil:
		return Requirement{}, &UndecidableError{Fact: "auto_devops_enabled"}
	case !*facts.AutoDevOps:
		return decided(false, ReasonAutoDevOpsDisabled)
	}

	switch facts.Visibility {
	case VisibilityPublic:
		return decided(true, ReasonMembersOnly)
	case VisibilityInternal:
		return decided(true, ReasonInternal)
	default:
		return decided(true, ReasonPrivate)
	}
}
