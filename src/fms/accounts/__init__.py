"""Who people are to fms: passwords, logins, devices, and the keys behind them."""
