// Package telephonytest holds what engines are tested with: Exercise, the suite
// with real signalling and sound that every engine must pass; and SIPPhone, a
// phone whose manners the test decides.
package telephonytest
