"""Application Auto Scaling's decisions as pure functions, shared by the laptop cloud and the simulator."""
