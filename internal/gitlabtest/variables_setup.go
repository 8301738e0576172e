package gitlabtest

import "slices"

// Variables lists the project's own CI/CD variables, the oldest first, with the values
// of hidden ones.
func (s *Server) Variables(p *Project) []Variable {
	s.mu.Lock()
	defer s.mu.Unlock()
	return listed(p.variables)
}

// GroupVariables lists the group's own variables, as Variables does.
func (s *Server) GroupVariables(g *Group) []Variable {
	s.mu.Lock()
	defer s.mu.Unlock()
	return listed(g.variables)
}

func listed(rows []*variableRow) []Variable {
	list := make([]Variable, 0, len(rows))
	for _, v := range rows {
		list = append(list, v.Variable)
	}
	return list
}

// SetVariable makes or replaces the variable of that key and scope, as somebody would
// in the settings page. Nothing is checked. The value counts among Secrets.
func (s *Server) SetVariable(p *Project, v Variable) {
	s.edit(func() { s.setVariable(&p.variables, v) })
}

// SetGroupVariable makes or replaces a variable of a group, as SetVariable does.
func (s *Server) SetGroupVariable(g *Group, v Variable) {
	s.edit(func() { s.setVariable(&g.variables, v) })
}

// SetInstanceVariable makes or replaces a variable of the whole instance, as
// SetVariable does.
func (s *Server) SetInstanceVariable(v Variable) {
	s.edit(func() { s.setVariable(&s.world.variables, v) })
}

func (s *Server) setVariable(rows *[]*variableRow, v Variable) {
	v.Type, v.Scope = orElse(v.Type, "env_var"), orElse(v.Scope, "*")
	v.Masked = v.Masked || v.Hidden
	if v.Value != "" {
		s.world.secrets = append(s.world.secrets, v.Value)
	}
	for _, row := range *rows {
		if row.Key == v.Key && row.Scope == v.Scope {
			row.Variable, row.updatedAt = v, s.Clock.Now()
			return
		}
	}
	*rows = append(*rows, &variableRow{Variable: v, updatedAt: s.Clock.Now()})
}

// DeleteVariable removes the project's variable of that key and scope.
func (s *Server) DeleteVariable(p *Project, key, scope string) {
	s.edit(func() {
		p.variables = slices.DeleteFunc(p.variables, func(v *variableRow) bool { return v.Key == key && v.Scope == orElse(scope, "*") })
	})
}

// SetVariableLimit changes the plan's limit of variables for each project and each
// group; 0 is the default again: 8,000 and 30,000.
func (s *Server) SetVariableLimit(limit int) {
	s.edit(func() { s.world.variableLimit = limit })
}

// DeleteGroupVariable removes the group's variable of that key and scope.
func (s *Server) DeleteGroupVariable(g *Group, key, scope string) {
	s.edit(func() {
		g.variables = slices.DeleteFunc(g.variables, func(v *variableRow) bool { return v.Key == key && v.Scope == orElse(scope, "*") })
	})
}
