package config

// Command is a command to run. Written as a list it is run as it is, without
// a shell; written as one string it is a line for the shell.
type Command struct {
	// Argv is what to execute; empty if there is no command.
	Argv []string
	// Shell: the command was written as one string s, and Argv is {"/bin/sh",
	// "-c", s}.
	Shell bool
}

// shellCommand is the command for one line of shell.
func shellCommand(line string) Command {
	return Command{Argv: []string{"/bin/sh", "-c", line}, Shell: true}
}

// IsZero reports whether there is no command.
func (c Command) IsZero() bool { return len(c.Argv) == 0 }

// String returns the command as it would stand in the file: the shell's line,
// or a list with every word in quotes. It is for people, not for a shell.
func (c Command) String() string {
	switch {
	case c.IsZero():
		return ""
	case c.Shell:
		return c.Argv[len(c.Argv)-1]
	}
	return flowList(c.Argv)
}
