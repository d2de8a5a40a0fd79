"""The crash storm: what scripts/crash_storm does. Built on `oms.demo`, whose house of processes it torments."""
