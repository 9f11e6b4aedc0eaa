package sipengine

// Contacts are the addresses at which an operator's phones are registered, as
// the phones gave them.
func (e *Engine) Contacts(extension string) []string {
	bindings := e.phones.Contacts(extension)
	contacts := make([]string, len(bindings))
	for i, b := range bindings {
		contacts[i] = b.Contact
	}
	return contacts
}
