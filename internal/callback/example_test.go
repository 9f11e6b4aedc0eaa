package callback_test

import (
	"fmt"

	"github.com/perezvon/perezvon/internal/callback"
)

func ExampleParseManagers() {
	managers, err := callback.ParseManagers("74951234567^101_79161234567")
	fmt.Println(managers[0].Number, managers[0].Extension, managers[1].Number, err)
	// Output: 74951234567 101 79161234567 <nil>
}

func ExamplePacket_Normalize() {
	p := callback.Packet{Managers: callback.Managers{{Number: "101"}}, Client: "8 (916) 123-45-67", DTMFCancel: "**"}
	_, err := p.Normalize("RU")
	fmt.Println(err)
	p.DTMFCancel = "*"
	p, err = p.Normalize("RU")
	fmt.Println(p.Client, p.Greeting, *p.ClientDelayMS, err)
	// Output:
	// dtmf_cancel: want one key of 0-9*#
	// +79161234567 Звонок с сайта. Пожалуйста, ожидайте соединения 3000 <nil>
}
