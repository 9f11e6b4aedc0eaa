// Package telephonytest holds what engines and scenarios are tested with:
// Exercise, the suite with real signalling and sound that every engine must
// pass; SIPPhone, a phone whose manners the test decides; and Scripted, an
// engine without a network for scenarios in virtual time.
package telephonytest
