// Package directory is what an administrator sets: trunks, operators and, as
// they come, widgets, queues, routes and hours. Types and their rules; the
// store keeps them.
package directory

// Operator is somebody with an extension, whose phones register here.
type Operator struct {
	Extension    string   `json:"extension" doc:"Digits, 2 to 10"`
	Name         string   `json:"name,omitempty" maxLength:"128"`
	Password     string   `json:"password,omitempty" doc:"Of the phones' registration. Never shown again"`
	Phones       []string `json:"phones,omitempty" doc:"Outside numbers rung beside the registered phones"`
	BitrixUserID string   `json:"bitrix_user_id,omitempty"`
	Paused       bool     `json:"paused,omitempty"`
}

// DefaultAccount owns everything until there is a second organisation.
const DefaultAccount = "main"
